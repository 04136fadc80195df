//! What exit status and answer files mean.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::scratch::{Scratch, read_answer};
use crate::backend::{Verdict, place_address};
use crate::name::check_name;

/// Longest reason a client is told, in characters: it must fit one control message.
const MAX_REASON_CHARS: usize = 200;

/// Most groups a command can grant.
const MAX_GROUPS: usize = 256;

/// The verdict of a command that ended by itself.
pub(super) fn verdict(status: ExitStatus, scratch: &Scratch) -> Verdict {
    match (status.code(), status.signal()) {
        (Some(0), _) => match grants(&read_answer(&scratch.grants())) {
            Ok(verdict) => verdict,
            Err(reason) => Verdict::reject(format!("the login command's grants file is wrong: {reason}")),
        },
        (Some(1), _) => Verdict::Reject {
            log: "the login command refused (exit status 1)".into(),
            client_message: reason(&read_answer(&scratch.reason())),
        },
        (Some(2), _) => Verdict::reject(
            "the login command asks to decide later (exit status 2), which is not supported: let it wait for the decision",
        ),
        (Some(code), _) => Verdict::reject(format!("the login command failed (exit status {code})")),
        (None, Some(signal)) => Verdict::reject(format!("the login command was killed by signal {signal}")),
        (None, None) => Verdict::reject("the login command ended in an unknown way"),
    }
}

/// The first line with something on it, fit for the client.
fn reason(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let text: String = line
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MAX_REASON_CHARS)
        .collect();
    (!text.is_empty()).then_some(text)
}

fn grants(text: &str) -> Result<Verdict, String> {
    let mut groups: Vec<String> = Vec::new();
    let (mut static_v4, mut static_v6): (Option<Ipv4Addr>, Option<Ipv6Addr>) = (None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once('=') {
            Some(("group", group)) => {
                check_name(group).map_err(|reason| format!("group {group:?}: {reason}"))?;
                if groups.len() == MAX_GROUPS {
                    return Err(format!("more than {MAX_GROUPS} groups"));
                }
                groups.push(group.into());
            }
            Some(("address", address)) => {
                let address = address
                    .parse()
                    .map_err(|_| format!("{address:?} is no IP address"))?;
                if !place_address(address, &mut static_v4, &mut static_v6) {
                    return Err(format!("a second address of a family: {address}"));
                }
            }
            _ => return Err(format!("line {line:?} is neither group=NAME nor address=IP")),
        }
    }
    Ok(Verdict::Accept {
        groups,
        static_v4,
        static_v6,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_groups_and_one_address_per_family() {
        assert_eq!(
            grants("group=Domain Users\n\ngroup=ops\naddress=10.8.0.4\naddress=fd00::4\n"),
            Ok(Verdict::Accept {
                groups: vec!["Domain Users".into(), "ops".into()],
                static_v4: Some(Ipv4Addr::new(10, 8, 0, 4)),
                static_v6: Some("fd00::4".parse().unwrap()),
            })
        );
        for text in [
            "group=",
            "address=x",
            "address=1.2.3.4\naddress=1.2.3.5",
            "admin",
            "group=a/b",
        ] {
            assert!(grants(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reason_is_one_clean_bounded_line() {
        assert_eq!(
            reason("\n  Your account\u{7} expired.\nsecond\n").as_deref(),
            Some("Your account expired.")
        );
        assert_eq!(reason(" \n\n"), None);
        assert_eq!(reason(&"x".repeat(5000)).unwrap().len(), MAX_REASON_CHARS);
    }
}
