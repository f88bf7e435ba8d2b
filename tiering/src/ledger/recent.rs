//! Unit keys in memory, bounded: the newest files' keys, forgotten in whole generations.

use std::collections::VecDeque;

use linchpin_normalize::UnitKey;
use rustc_hash::FxHashSet;

/// Parts in which keys are forgotten.
const GENERATIONS: usize = 8;

/// Keys of the files that were folded last. A file whose keys are all here is *warm*; the others are
/// *cold* and have to be asked.
#[derive(Debug)]
pub(super) struct Recent {
    generations: VecDeque<Generation>,
    keys_max: usize,
}

#[derive(Debug, Default)]
struct Generation {
    keys: FxHashSet<u128>,
    files: Vec<String>,
}

fn number(key: UnitKey) -> u128 {
    u128::from_be_bytes(key.0)
}

impl Recent {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { generations: VecDeque::new(), keys_max }
    }

    pub(super) fn contains(&self, key: UnitKey) -> bool {
        let key = number(key);
        self.generations.iter().rev().any(|g| g.keys.contains(&key))
    }

    /// Remembers the keys of `file`; gives the files that became cold for it.
    pub(super) fn insert(&mut self, file: &str, keys: impl Iterator<Item = UnitKey>) -> Vec<String> {
        let size = (self.keys_max / GENERATIONS).max(1);
        if self.generations.back().is_none_or(|g| g.keys.len() >= size) {
            self.generations.push_back(Generation::default());
        }
        if let Some(newest) = self.generations.back_mut() {
            newest.keys.extend(keys.map(number));
            newest.files.push(file.to_owned());
        }
        let mut cold = Vec::new();
        let mut total: usize = self.generations.iter().map(|g| g.keys.len()).sum();
        while total > self.keys_max {
            let Some(oldest) = self.generations.pop_front() else { break };
            total -= oldest.keys.len();
            cold.extend(oldest.files);
        }
        cold
    }

    /// `new` files hold the rows of the warm files `old` now: they stay warm as long as the oldest of
    /// those would have.
    pub(super) fn replace(&mut self, old: &FxHashSet<&str>, new: &[String]) {
        let holds = |g: &&mut Generation| g.files.iter().any(|f| old.contains(f.as_str()));
        if let Some(oldest) = self.generations.iter_mut().find(holds) {
            oldest.files.extend_from_slice(new);
        }
        for generation in &mut self.generations {
            generation.files.retain(|f| !old.contains(f.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u8>) -> impl Iterator<Item = UnitKey> {
        range.map(|i| UnitKey([i; 16]))
    }

    #[test]
    fn the_oldest_files_become_cold_first() {
        let mut recent = Recent::new(16);
        assert!(recent.insert("a", keys(0..6)).is_empty());
        assert!(recent.insert("b", keys(6..12)).is_empty());
        assert_eq!(recent.insert("c", keys(12..18)), ["a"]);
        assert!(!recent.contains(UnitKey([0; 16])));
        assert!(recent.contains(UnitKey([6; 16])) && recent.contains(UnitKey([17; 16])));
        // A compacted file is as old as its oldest part.
        recent.replace(&FxHashSet::from_iter(["b", "c"]), &["bc".to_owned()]);
        assert_eq!(recent.insert("d", keys(18..24)), ["bc"]);
        assert_eq!(recent.insert("huge", keys(100..200)), ["d", "huge"]);
    }
}
