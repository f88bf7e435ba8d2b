//! Bad weather, the same for the same seed.

use fastrand::Rng;

/// How often what goes wrong, as parts of all requests between 0 and 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// Decides which requests it hits.
    pub seed: u64,
    /// Refused for too many requests; nothing was done.
    pub throttled: f64,
    /// Lost on the way there; nothing was done.
    pub unsent: f64,
    /// Done, but the answer was lost.
    pub unanswered: f64,
    /// A body that breaks before its end.
    pub torn: f64,
    /// A restore for which there is no expedited capacity.
    pub no_expedited: f64,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Throttled,
    Unsent,
    Unanswered,
}

#[derive(Debug)]
pub(super) struct Weather {
    faults: Faults,
    random: Rng,
}

impl Weather {
    pub(super) fn new(faults: Faults) -> Self {
        Self { faults, random: Rng::with_seed(faults.seed) }
    }

    pub(super) fn fate(&mut self) -> Fate {
        let Faults { throttled, unsent, unanswered, .. } = self.faults;
        let drawn = self.random.f64();
        match drawn {
            _ if drawn < throttled => Fate::Throttled,
            _ if drawn < throttled + unsent => Fate::Unsent,
            _ if drawn < throttled + unsent + unanswered => Fate::Unanswered,
            _ => Fate::Done,
        }
    }

    /// Where a body of `length` bytes breaks, if it does.
    pub(super) fn tear(&mut self, length: usize) -> Option<usize> {
        (self.random.f64() < self.faults.torn).then(|| self.random.usize(0..=length))
    }

    pub(super) fn has_expedited(&mut self) -> bool {
        self.random.f64() >= self.faults.no_expedited
    }
}
