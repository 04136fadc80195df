//! The environment of a login command.

use std::ffi::OsString;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::scratch::Scratch;
use crate::backend::Credentials;

/// Where the command finds programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Most of the client's own variables that are passed on.
const MAX_PEER_INFO: usize = 64;

/// Longest value that is passed on, in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// All variables the command sees.
pub(super) fn variables(credentials: &Credentials, scratch: &Scratch) -> Vec<(String, OsString)> {
    let mut all: Vec<(String, OsString)> = Vec::new();
    let mut set = |name: &str, value: OsString| all.push((name.to_owned(), value));
    // First what the client chooses: should a name ever meet one of ours, ours counts.
    for (name, value) in credentials
        .peer_info
        .iter()
        .filter(|(name, _)| is_peer_variable(name))
        .take(MAX_PEER_INFO)
    {
        set(name, printable(value));
    }
    set("PATH", PATH.into());
    set("script_type", "user-pass-verify".into());
    set("username", printable(&credentials.username));
    set("culvert_endpoint", printable(&credentials.endpoint));
    let certificate = [
        ("common_name", &credentials.common_name),
        ("X509_0_CN", &credentials.common_name),
        ("tls_serial_0", &credentials.serial),
        ("tls_serial_hex_0", &credentials.serial_hex),
        ("tls_digest_sha256_0", &credentials.fingerprint),
    ];
    for (name, value) in certificate {
        if let Some(value) = value {
            set(name, printable(value));
        }
    }
    match credentials.remote.ip().to_canonical() {
        IpAddr::V4(address) => set("untrusted_ip", address.to_string().into()),
        IpAddr::V6(address) => set("untrusted_ip6", address.to_string().into()),
    }
    set("untrusted_port", credentials.remote.port().to_string().into());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    set("time_unix", now.to_string().into());
    set("auth_failed_reason_file", scratch.reason().into());
    set("culvert_grants_file", scratch.grants().into());
    all
}

/// Clients may name variables of these two families only.
fn is_peer_variable(name: &str) -> bool {
    (name.starts_with("IV_") || name.starts_with("UV_"))
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The value with control characters replaced by `_` as stock does, cut at [`MAX_VALUE_BYTES`].
fn printable(value: &str) -> OsString {
    let mut text = String::new();
    for letter in value
        .chars()
        .map(|letter| if letter.is_control() { '_' } else { letter })
    {
        if text.len() + letter.len_utf8() > MAX_VALUE_BYTES {
            break;
        }
        text.push(letter);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_cannot_set_foreign_variables() {
        for name in ["IV_VER", "UV_ASSET_TAG", "IV_PLAT_VER"] {
            assert!(is_peer_variable(name), "{name}");
        }
        for name in ["LD_PRELOAD", "PATH", "IV_A=B", "IV_\n", "username", "", "IV_ä"] {
            assert!(!is_peer_variable(name), "{name}");
        }
    }

    #[test]
    fn values_lose_control_characters_and_excess_length() {
        assert_eq!(printable("a\nb\0c"), "a_b_c");
        assert_eq!(printable(&"ü".repeat(2000)).len(), MAX_VALUE_BYTES);
    }
}
