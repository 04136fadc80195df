//! Single values: from TOML to a type, or the reason why not.

use std::str::FromStr;
use std::time::Duration;

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use toml::de::DeValue;

use super::table::Value;
use crate::endpoint::Mssfix;
use crate::error::Fault;
use crate::packets::{MAX_MODERATION, MIN_MODERATION};

type Parsed<T> = Result<T, Fault>;

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn expected<T>(what: &str, example: &str, found: &DeValue<'_>) -> Parsed<T> {
    let message = format!("this should be {what}, not {}", kind(found));
    Err(Fault::new(message, format!("write for example {example}")))
}

/// The text of a string.
pub(crate) fn text<'v>(value: &Value<'v, '_>) -> Parsed<&'v str> {
    match value.value {
        DeValue::String(text) => Ok(text.as_ref()),
        other => expected("a string", "\"text\" in quotes", other),
    }
}

/// A string of its own.
pub(crate) fn string(value: &Value<'_, '_>) -> Parsed<String> {
    text(value).map(str::to_owned)
}

/// `true` or `false`.
pub(crate) fn boolean(value: &Value<'_, '_>) -> Parsed<bool> {
    match value.value {
        DeValue::Boolean(yes) => Ok(*yes),
        other => expected("true or false", "true, without quotes", other),
    }
}

fn whole(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

/// A whole number from `least` to `most`.
pub(crate) fn number<T: TryFrom<i64>>(value: &Value<'_, '_>, least: i64, most: i64) -> Parsed<T> {
    if !matches!(value.value, DeValue::Integer(_)) {
        return expected("a number", &format!("{least}, without quotes"), value.value);
    }
    let found = whole(value.value).filter(|number| (least..=most).contains(number));
    found.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        Fault::new(
            "the number is out of range",
            format!("choose between {least} and {most}"),
        )
    })
}

/// A word that `parse` knows.
pub(crate) fn word<T>(value: &Value<'_, '_>, parse: impl FnOnce(&str) -> Parsed<T>) -> Parsed<T> {
    parse(text(value)?)
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(value: &Value<'_, '_>, choices: &[(&str, T)]) -> Parsed<T> {
    let found = text(value)?;
    choices
        .iter()
        .find(|(name, _)| *name == found)
        .map(|(_, choice)| *choice)
        .ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            Fault::new(
                format!("{found:?} is not a choice here"),
                format!("use {}", names.join(" or ")),
            )
        })
}

fn parsed<T: FromStr>(value: &Value<'_, '_>, what: &str, example: &str) -> Parsed<T> {
    let found = text(value)?;
    found.parse().map_err(|_| {
        Fault::new(
            format!("{found:?} is not {what}"),
            format!("write it as in \"{example}\""),
        )
    })
}

/// An address of type `T`.
pub(crate) fn address<T: FromStr>(value: &Value<'_, '_>) -> Parsed<T> {
    parsed(value, "an IP address of the kind needed here", "192.0.2.1")
}

/// An address with a port.
pub(crate) fn socket_address(value: &Value<'_, '_>) -> Parsed<std::net::SocketAddr> {
    let found: std::net::SocketAddr = parsed(value, "an address with a port", "127.0.0.1:8443")?;
    match found.port() {
        0 => Err(Fault::new(
            "nobody could find port 0",
            "choose a port, as in \"127.0.0.1:8443\"",
        )),
        _ => Ok(found),
    }
}

/// A network of either family. A bare address is refused: the prefix is too easily forgotten.
pub(crate) fn network(value: &Value<'_, '_>) -> Parsed<IpNetwork> {
    with_prefix(value, "192.0.2.1/32")?;
    parsed(value, "a network in CIDR notation", "10.0.0.0/16")
}

/// An IPv4 network.
pub(crate) fn network_v4(value: &Value<'_, '_>) -> Parsed<Ipv4Network> {
    with_prefix(value, "10.8.0.0/22")?;
    parsed(value, "an IPv4 network in CIDR notation", "10.8.0.0/22")
}

/// An IPv6 network.
pub(crate) fn network_v6(value: &Value<'_, '_>) -> Parsed<Ipv6Network> {
    with_prefix(value, "fd00:8::/64")?;
    parsed(value, "an IPv6 network in CIDR notation", "fd00:8::/64")
}

fn with_prefix(value: &Value<'_, '_>, example: &str) -> Parsed<()> {
    match text(value)? {
        found if found.contains('/') => Ok(()),
        found => {
            let cure = format!("add it, as in \"{example}\"");
            Err(Fault::new(format!("{found:?} has no prefix length"), cure))
        }
    }
}

/// A duration: whole seconds, or numbers with units as in `"90s"`, `"1h30m"`, `"7d"`.
pub(crate) fn duration(value: &Value<'_, '_>) -> Parsed<Duration> {
    let bad = || {
        Fault::new(
            "this is not a duration",
            "write seconds, or as in \"90s\", \"1h30m\", \"7d\"",
        )
    };
    match value.value {
        DeValue::Integer(_) => {
            let seconds = whole(value.value).and_then(|seconds| u64::try_from(seconds).ok());
            seconds.map(Duration::from_secs).ok_or_else(bad)
        }
        DeValue::String(text) => units(text).ok_or_else(bad),
        _ => Err(bad()),
    }
}

/// A duration, or `None` for `"off"`, `false` and 0.
pub(crate) fn duration_or_off(value: &Value<'_, '_>) -> Parsed<Option<Duration>> {
    match value.value {
        DeValue::Boolean(false) => Ok(None),
        DeValue::String(text) if text == "off" => Ok(None),
        _ => match duration(value) {
            Ok(Duration::ZERO) => Ok(None),
            Ok(duration) => Ok(Some(duration)),
            Err(fault) => Err(Fault::new(
                fault.message,
                format!("{}; \"off\" for none", fault.cure),
            )),
        },
    }
}

fn units(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.chars().next()?;
        let scale = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(scale)?)?;
        rest = after.get(unit.len_utf8()..)?.trim_start();
    }
    Some(Duration::from_secs(seconds))
}

/// How long a busy worker may rest: `"200us"` or `"1ms"`, or zero for `"off"`, `false` and 0.
///
/// Not a [`duration`]: those are told to clients in whole seconds, so parts of one must not be read there.
pub(crate) fn moderation(value: &Value<'_, '_>) -> Parsed<Duration> {
    let cure = "write it as in \"200us\", at least \"20us\" and at most \"1ms\", or \"off\"";
    let parts = |text: &str| {
        let (number, scale) = match text.strip_suffix("us") {
            Some(number) => (number, 1),
            None => (text.strip_suffix("ms")?, 1000),
        };
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse::<u64>().ok().filter(|_| digits)?;
        number.checked_mul(scale).map(Duration::from_micros)
    };
    let rest = match value.value {
        DeValue::Boolean(false) => Some(Duration::ZERO),
        DeValue::Integer(_) => (whole(value.value) == Some(0)).then_some(Duration::ZERO),
        DeValue::String(text) if text == "off" || text == "0" => Some(Duration::ZERO),
        DeValue::String(text) => parts(text),
        _ => None,
    };
    match rest {
        None => Err(Fault::new("this is not so short a duration", cure)),
        Some(rest) if rest > MAX_MODERATION => Err(Fault::new("this is too long to rest", cure)),
        Some(rest) if !rest.is_zero() && rest < MIN_MODERATION => {
            Err(Fault::new("this is too short to rest", cure))
        }
        Some(rest) => Ok(rest),
    }
}

/// OpenVPN's `mssfix`: false, a number, or a number and `mtu` or `fixed`.
pub(crate) fn mssfix(value: &Value<'_, '_>) -> Parsed<Mssfix> {
    let bad = || {
        Fault::new(
            "this is not an mssfix",
            "write \"1492 mtu\", 1400, \"1360 fixed\" or false",
        )
    };
    let size = |number: i64| u16::try_from(number).map_err(|_| bad());
    match value.value {
        DeValue::Boolean(false) => Ok(Mssfix::Off),
        DeValue::Integer(_) => match whole(value.value).ok_or_else(bad)? {
            0 => Ok(Mssfix::Off),
            number => size(number).map(Mssfix::Payload),
        },
        DeValue::String(text) => {
            let words: Vec<&str> = text.split_whitespace().collect();
            let number: i64 = words.first().and_then(|word| word.parse().ok()).ok_or_else(bad)?;
            match words.get(1..) {
                Some([]) if number == 0 => Ok(Mssfix::Off),
                Some([]) => size(number).map(Mssfix::Payload),
                Some(["mtu"]) => size(number).map(Mssfix::Mtu),
                Some(["fixed"]) => size(number).map(Mssfix::Fixed),
                _ => Err(bad()),
            }
        }
        _ => Err(bad()),
    }
}

/// A number of bytes: `65536`, or `"64K"`, `"64M"`, `"1G"`.
pub(crate) fn size(value: &Value<'_, '_>) -> Parsed<u64> {
    let bad = || {
        Fault::new(
            "this is not a size",
            "write it as in \"64M\", or as a number of bytes",
        )
    };
    let number = match value.value {
        DeValue::Integer(_) => whole(value.value).and_then(|number| u64::try_from(number).ok()),
        DeValue::String(text) => {
            let (digits, scale) = match text.char_indices().last() {
                Some((end, 'K')) => (text.get(..end), 1 << 10),
                Some((end, 'M')) => (text.get(..end), 1 << 20),
                Some((end, 'G')) => (text.get(..end), 1 << 30),
                _ => (None, 1),
            };
            let plain = |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.filter(plain).and_then(|digits| digits.parse::<u64>().ok());
            number.and_then(|number| number.checked_mul(scale))
        }
        _ => None,
    };
    number.ok_or_else(bad)
}

/// A path, checked to be one and not the contents of a file.
pub(crate) fn path<'v>(value: &Value<'v, '_>) -> Parsed<&'v str> {
    let text = text(value)?;
    if text.contains("-----BEGIN") || text.contains('\n') {
        let cure = "put the contents into a file that only culvertd may read, and give its path";
        return Err(Fault::new("this is the contents of a file, not its path", cure));
    }
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new(
            "this is not a path",
            "give the path of a file, absolute or relative to this one",
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_add_up_their_units() {
        let seconds = |text| units(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds(" 1d 2h "), Some(93_600));
        for bad in [
            "",
            "90",
            "s",
            "1x",
            "1h30",
            "-1s",
            "1.5h",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_duration_parser_panic(text in "\\PC*") {
            let _ = units(&text);
        }

        #[test]
        fn written_durations_read_back(d in 0..1000_u64, h in 0..1000_u64, m in 0..1000_u64, s in 0..1000_u64) {
            let total = d * 86_400 + h * 3600 + m * 60 + s;
            prop_assert_eq!(units(&format!("{d}d{h}h{m}m{s}s")), Some(Duration::from_secs(total)));
        }
    }
}
