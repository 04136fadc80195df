//! Changes that are tried again because somebody else changed the same thing meanwhile.

use std::time::Duration;

/// How often a change is tried. Each time it fails, another one succeeded.
const TRIES: u32 = 50;
/// Tries that only give way to other threads; after them comes rest that doubles.
const YIELDS: u32 = 3;
const FIRST_REST: Duration = Duration::from_micros(50);
const LONGEST_REST: Duration = Duration::from_millis(4);

/// The tries there are. Before each but the first, the calling thread rests, longer each time, so that many who change
/// one thing don't keep each other busy.
pub(crate) fn tries() -> impl Iterator<Item = ()> {
    (0..TRIES).map(|failed| match rest(failed) {
        Some(rest) => std::thread::sleep(rest),
        None if failed > 0 => std::thread::yield_now(),
        None => {}
    })
}

/// How long to rest after so many failures; `None`: not at all.
fn rest(failed: u32) -> Option<Duration> {
    let doublings = failed.checked_sub(YIELDS + 1)?;
    let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
    Some(FIRST_REST.saturating_mul(factor).min(LONGEST_REST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_grows_from_nothing_to_a_few_milliseconds() {
        assert!((0..=YIELDS).all(|failed| rest(failed).is_none()));
        assert_eq!(rest(YIELDS + 1), Some(FIRST_REST));
        assert_eq!(rest(YIELDS + 2), Some(FIRST_REST * 2));
        let all: Vec<Duration> = (0..TRIES).filter_map(rest).collect();
        assert!(all.is_sorted());
        assert_eq!(all.last(), Some(&LONGEST_REST));
        assert!(all.iter().sum::<Duration>() < Duration::from_millis(250));
    }
}
