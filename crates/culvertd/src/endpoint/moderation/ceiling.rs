//! How long a rest may be: it grows while throughput doesn't suffer.
//!
//! A longer rest saves work where packets keep coming: a client that sends as fast as it can. It costs throughput where both
//! ends wait for each other, as they do with a small window. Which it is shows only by trying: now and then the ceiling is
//! doubled or halved for a moment, and what moves no slower stays. Network cards look for their interrupt rate the same way
//! (dynamic interrupt moderation, `net_dim` in Linux).

use std::time::Duration;

/// The ceiling before anything is known. Short enough that no flow starts slowly for it.
const START: Duration = Duration::from_micros(200);
/// How long throughput is looked at before it is judged: many round trips of a busy tunnel, and little in a person's time.
const WINDOW: Duration = Duration::from_millis(100);
/// Share of the throughput before that a longer rest has to keep. Below one, as two equal windows differ by some percent.
const KEEP: f64 = 0.95;
/// What a shorter rest has to bring to be worth its work.
const GAIN: f64 = 1.08;
/// A fall of throughput to less than this share is another situation, in which what was found means nothing.
const FALL: f64 = 0.6;
/// Windows before the next trial: so many at first, twice as many after each that failed, but not more.
const PATIENCE: u32 = 4;
const MAX_PATIENCE: u32 = 64;

/// Which way a trial goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Longer,
    Shorter,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Nothing is tried for so many windows.
    Settled { windows: u32 },
    /// The ceiling was changed. The first window is that of the change and isn't judged.
    Trial {
        way: Way,
        from: Duration,
        before: f64,
        first: bool,
    },
}

/// The search for the best ceiling of rests between [`START`], or what is configured if that is less, and what is configured.
#[derive(Debug)]
pub(super) struct Ceiling {
    longest: Duration,
    now: Duration,
    phase: Phase,
    next: Way,
    patience: u32,
    /// Packets per second in the last windows that were not trials; `None` before the first.
    usual: Option<f64>,
    packets: u64,
    time: Duration,
}

impl Ceiling {
    /// A search that has not begun.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            longest,
            now: START.min(longest),
            phase: Phase::Settled { windows: PATIENCE },
            next: Way::Longer,
            patience: PATIENCE,
            usual: None,
            packets: 0,
            time: Duration::ZERO,
        }
    }

    /// What a rest may be at most, as far as the search has come.
    pub(super) fn get(&self) -> Duration {
        self.now
    }

    /// Notes what came in a stretch of time of a busy worker.
    pub(super) fn observe(&mut self, packets: u64, time: Duration) {
        self.packets += packets;
        self.time += time;
        if self.time >= WINDOW {
            let rate = self.packets as f64 / self.time.as_secs_f64();
            (self.packets, self.time) = (0, Duration::ZERO);
            self.judge(rate);
        }
    }

    /// Forgets everything: the worker was not busy.
    pub(super) fn reset(&mut self) {
        if self.usual.is_some() || self.packets > 0 {
            *self = Self::new(self.longest);
        }
    }

    fn judge(&mut self, rate: f64) {
        match &mut self.phase {
            Phase::Trial { first, .. } if *first => *first = false,
            &mut Phase::Trial {
                way, from, before, ..
            } => {
                let good = match way {
                    Way::Longer => rate >= before * KEEP,
                    Way::Shorter => rate >= before * GAIN,
                };
                if good {
                    (self.patience, self.usual) = (PATIENCE, Some(rate));
                } else {
                    self.now = from;
                    self.patience = (self.patience * 2).min(MAX_PATIENCE);
                    self.next = match way {
                        Way::Longer => Way::Shorter,
                        Way::Shorter => Way::Longer,
                    };
                }
                self.phase = Phase::Settled {
                    windows: self.patience,
                };
            }
            &mut Phase::Settled { windows } => self.settle(rate, windows),
        }
    }

    fn settle(&mut self, rate: f64, windows: u32) {
        let before = self.usual.unwrap_or(rate);
        if rate < before * FALL {
            return *self = Self::new(self.longest);
        }
        let usual = before * 0.75 + rate * 0.25;
        self.usual = Some(usual);
        self.phase = Phase::Settled {
            windows: windows.saturating_sub(1),
        };
        if windows > 1 {
            return;
        }
        let shortest = START.min(self.longest);
        let (way, to) = match self.next {
            Way::Shorter if self.now > shortest => (Way::Shorter, (self.now / 2).max(shortest)),
            _ => (Way::Longer, (self.now * 2).min(self.longest)),
        };
        if to != self.now {
            let from = self.now;
            (self.now, self.next) = (to, way);
            self.phase = Phase::Trial {
                way,
                from,
                before: usual,
                first: true,
            };
        } else {
            self.next = Way::Shorter;
            self.phase = Phase::Settled {
                windows: self.patience,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(1);

    /// Ten seconds of a flow that moves at a rate (packets per second) depending on the ceiling; returns the last ceilings.
    fn after(ceiling: &mut Ceiling, rate: impl Fn(Duration) -> f64) -> Vec<Duration> {
        let step = Duration::from_millis(1);
        (0..10_000)
            .map(|number| {
                // Two percent of noise, in a rhythm that windows don't have.
                let noise = if number / 170 % 2 == 0 { 1.01 } else { 0.99 };
                ceiling.observe((rate(ceiling.get()) * noise * step.as_secs_f64()) as u64, step);
                ceiling.get()
            })
            .skip(5_000)
            .collect()
    }

    fn share(ceilings: &[Duration], wanted: impl Fn(Duration) -> bool) -> f64 {
        ceilings.iter().filter(|one| wanted(**one)).count() as f64 / ceilings.len() as f64
    }

    #[test]
    fn it_grows_where_throughput_does_not_suffer() {
        let ceilings = after(&mut Ceiling::new(LONGEST), |_| 50_000.0);
        assert!(share(&ceilings, |one| one == LONGEST) > 0.8, "{ceilings:?}");
    }

    #[test]
    fn it_stays_short_where_throughput_suffers() {
        // A window of 60 packets on a path of 1 ms and two rests.
        let rate = |ceiling: Duration| 60.0 / (0.001 + 2.0 * ceiling.as_secs_f64());
        let ceilings = after(&mut Ceiling::new(LONGEST), rate);
        assert!(share(&ceilings, |one| one == START) > 0.9, "{ceilings:?}");
    }

    #[test]
    fn it_returns_when_longer_rests_begin_to_hurt() {
        let mut ceiling = Ceiling::new(LONGEST);
        after(&mut ceiling, |_| 50_000.0);
        let ceilings = after(&mut ceiling, |ceiling| 40.0 / (0.001 + ceiling.as_secs_f64()));
        assert!(share(&ceilings, |one| one == START) > 0.8, "{ceilings:?}");
    }

    #[test]
    fn a_pause_starts_it_anew_and_the_configured_ceiling_is_kept() {
        let mut ceiling = Ceiling::new(LONGEST);
        after(&mut ceiling, |_| 50_000.0);
        ceiling.reset();
        assert_eq!(ceiling.get(), START);
        for longest in [20, 150, 200, 300].map(Duration::from_micros) {
            let ceilings = after(&mut Ceiling::new(longest), |_| 50_000.0);
            assert!(ceilings.iter().all(|one| *one <= longest), "{longest:?}");
            assert!(share(&ceilings, |one| one == longest) > 0.8, "{longest:?}");
        }
    }
}
