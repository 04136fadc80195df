//! Tells the operator why somebody who gets no answer gets none. Strangers cause these drops at will, so there is one
//! line per reason and period, with their number; the exact counts are in the status.

use std::time::{Duration, Instant};

use culvert_core::DropReason;
use culvert_wire::LinkAddr;

/// The shortest time between two lines about one reason.
const PERIOD: Duration = Duration::from_secs(10);

/// What was dropped since the last line, by reason.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    seen: [Seen; DropReason::ALL.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    last_line: Option<Instant>,
    packets: u64,
}

impl Strangers {
    /// Notes a dropped control packet, and logs when it is time to.
    pub(crate) fn dropped(&mut self, now: Instant, endpoint: &str, reason: DropReason, from: &LinkAddr) {
        let Some(cure) = cure(reason) else { return };
        let Some(packets) = self.due(now, reason) else {
            return;
        };
        tracing::warn!(endpoint, from = %from.remote(), packets, reason = reason.name(), "control packets dropped: {cure}");
    }

    /// The number of packets to report, when it is time to.
    fn due(&mut self, now: Instant, reason: DropReason) -> Option<u64> {
        let index = DropReason::ALL.iter().position(|known| *known == reason)?;
        let seen = self.seen.get_mut(index)?;
        seen.packets += 1;
        if seen
            .last_line
            .is_some_and(|last| now.saturating_duration_since(last) < PERIOD)
        {
            return None;
        }
        seen.last_line = Some(now);
        Some(std::mem::take(&mut seen.packets))
    }
}

/// What a person can do about it; `None` for what only an attacker or a bad link causes.
fn cure(reason: DropReason) -> Option<&'static str> {
    match reason {
        DropReason::Unauthentic => Some(
            "they do not verify under the control channel key; if this is one of your clients, its tls-auth or tls-crypt \
             key, key-direction or auth digest differs from the endpoint's: give it a new profile",
        ),
        DropReason::BadClientKey => Some(
            "the tls-crypt-v2 client key was not wrapped by this endpoint's server key; if this is one of your clients, \
             give it a new profile",
        ),
        DropReason::WrapNotOffered => Some(
            "the client uses another kind of control channel protection than the endpoint; if this is one of your \
             clients, give it a new profile",
        ),
        DropReason::CookieRequired => Some(
            "the client is too old to prove its address first, which force_cookie demands; upgrade it to OpenVPN 2.6 or \
             unset force_cookie",
        ),
        DropReason::RateLimited => Some("too many connection attempts from one source"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_reason_and_period_tells_how_many_packets_it_stands_for() {
        let mut strangers = Strangers::default();
        let start = Instant::now();
        assert_eq!(strangers.due(start, DropReason::Unauthentic), Some(1));
        for _ in 0..1_000 {
            assert_eq!(strangers.due(start, DropReason::Unauthentic), None);
        }
        assert_eq!(strangers.due(start, DropReason::RateLimited), Some(1));
        assert_eq!(
            strangers.due(start + PERIOD, DropReason::Unauthentic),
            Some(1_001)
        );
    }
}
