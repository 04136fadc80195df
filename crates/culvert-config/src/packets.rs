//! How the packet threads run: what the kernel does for them, how long they rest and where.

use std::time::Duration;

use crate::error::Problem;

/// The shortest rest that may be configured, apart from none at all: a shorter one isn't worth its system call.
pub const MIN_MODERATION: Duration = Duration::from_micros(20);

/// The longest rest that may be configured. Whoever waits longer for packets to gather only adds delay.
pub const MAX_MODERATION: Duration = Duration::from_millis(1);

/// The longest rest unless told otherwise.
pub const DEFAULT_MODERATION: Duration = Duration::from_millis(1);

/// Work on whole trains of packets that is left to the kernel. What it lacks is left off by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Datagrams of a client are received joined (`UDP_GRO`).
    pub udp_gro: bool,
    /// Datagrams to a client are sent joined (`UDP_SEGMENT`).
    pub udp_gso: bool,
    /// Super-packets cross the TUN device; without it none of the settings below has a meaning.
    pub tun: bool,
    /// Super-packets of UDP as well as of TCP.
    pub tun_udp: bool,
    /// Packets of a flow are written to the TUN device joined.
    pub tun_join: bool,
}

impl Default for Offload {
    fn default() -> Self {
        Self {
            udp_gro: true,
            udp_gso: true,
            tun: true,
            tun_udp: true,
            tun_join: true,
        }
    }
}

/// A CPU the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedCpu {
    pub(crate) cpu: u16,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl NamedCpu {
    /// What is wrong with it on a machine where these CPUs are in use, as the kernel lists them.
    pub(crate) fn check(&self, online: &str) -> Option<Problem> {
        (!lists(online, self.cpu)).then(|| Problem {
            line: self.line,
            column: self.column,
            message: format!("this machine has no CPU {}", self.cpu),
            cure: format!("its CPUs are {}; name some of them", online.trim()),
        })
    }
}

/// The CPUs in use on this machine, as in `0-3,6`; `None` where the kernel does not tell.
pub(crate) fn online_cpus() -> Option<String> {
    std::fs::read_to_string("/sys/devices/system/cpu/online").ok()
}

/// Whether a list as in `0-3,6` has a number in it.
fn lists(list: &str, wanted: u16) -> bool {
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&wanted),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_looked_for_in_the_list_of_the_kernel() {
        for (list, has) in [
            ("0-3\n", vec![0, 1, 2, 3]),
            ("0\n", vec![0]),
            ("0-1,4,8-9", vec![0, 1, 4, 8, 9]),
            ("", vec![]),
            ("nonsense", vec![]),
        ] {
            let found: Vec<u16> = (0..12).filter(|cpu| lists(list, *cpu)).collect();
            assert_eq!(found, has, "{list:?}");
        }
    }

    #[test]
    fn an_absent_cpu_is_refused_with_those_there_are() {
        let named = NamedCpu {
            cpu: 5,
            line: 3,
            column: 16,
        };
        assert_eq!(named.check("0-5\n"), None);
        let problem = named.check("0-3\n").unwrap();
        assert_eq!((problem.line, problem.column), (3, 16));
        assert_eq!(problem.message, "this machine has no CPU 5");
        assert!(problem.cure.contains("0-3"), "{}", problem.cure);
    }
}
