//! What to list next: the full and the quick pass over a bucket, without the bucket.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use jiff::{ToSpan, civil::Date};
use linchpin_store::LIST_PAGE_MAX;

use super::dates::Series;

/// Shortest time between two passes of a kind.
pub(super) const EVERY: Duration = Duration::from_secs(30);
/// A pass rests so many times as long as its requests took.
const REST: u32 = 20;
/// Series that the quick pass lists; beyond it, new objects are found by the full pass only.
pub(super) const SERIES_MAX: usize = 10_000;
/// A series without a newer day has ended.
const SERIES_DAYS: i32 = 7;

/// A listing under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk {
    /// What keys start with.
    pub prefix: String,
    /// The key it goes on after.
    pub after: Option<String>,
    /// The first key that is no part of it any more.
    end: Option<String>,
    quick: bool,
}

impl Walk {
    /// How many keys of a page belong to it, from the first.
    pub(super) fn part<K: AsRef<str>>(&self, keys: &[K]) -> usize {
        let end = self.end.as_deref();
        end.map_or(keys.len(), |end| keys.partition_point(|key| key.as_ref() < end))
    }
}

/// The listings of a pass that are left, and when the next pass is due.
#[derive(Debug)]
struct Pass {
    walks: VecDeque<Walk>,
    due: Instant,
    /// Time that the requests of this pass have taken.
    took: Duration,
}

/// Both passes over one prefix.
#[derive(Debug)]
pub(super) struct Passes {
    prefix: String,
    full: Pass,
    quick: Pass,
    /// Series that are still written to, each with the newest day seen.
    series: BTreeMap<Series, Date>,
    /// The folder of the day that was noted last: most keys are of the same.
    noted: String,
    /// The last of all keys; known after the first full pass.
    last_key: Option<String>,
    crowded: bool,
}

impl Passes {
    pub(super) fn new(prefix: &str, now: Instant) -> Self {
        let pass = |due| Pass { walks: VecDeque::new(), due, took: Duration::ZERO };
        Self {
            prefix: prefix.to_owned(),
            full: pass(now),
            quick: pass(now + EVERY),
            series: BTreeMap::new(),
            noted: String::new(),
            last_key: None,
            crowded: false,
        }
    }

    /// The listing to go on with; `None` when nothing is due.
    pub(super) fn next(&mut self, now: Instant, today: Date) -> Option<Walk> {
        // A full pass that is about to come does what the quick one would.
        let full_is_near = self.full.walks.is_empty() && self.full.due <= now + EVERY;
        if self.quick.walks.is_empty() && now >= self.quick.due && !full_is_near {
            self.begin_quick(today);
        }
        if self.quick.walks.is_empty() && self.full.walks.is_empty() && now >= self.full.due {
            self.full.walks.push_back(self.all(None, false));
            // It begins to see the same; only a long one has to give way.
            self.quick.due = self.quick.due.max(now + EVERY);
        }
        self.quick.walks.front().or(self.full.walks.front()).cloned()
    }

    /// All keys after one.
    fn all(&self, after: Option<String>, quick: bool) -> Walk {
        Walk { prefix: self.prefix.clone(), after, end: None, quick }
    }

    fn begin_quick(&mut self, today: Date) {
        let back = |days: i32| today.checked_sub(days.days()).unwrap_or(today);
        let (yesterday, ended) = (back(1), back(SERIES_DAYS));
        self.series.retain(|_, day| *day >= ended);
        let series = self.series.keys().map(|series| Walk {
            prefix: series.prefix(),
            after: Some(series.from(yesterday)),
            end: Some(series.end()),
            quick: true,
        });
        let tail = self.last_key.clone().map(|last| self.all(Some(last), true));
        self.quick.walks = series.chain(tail).collect();
    }

    /// Takes note of a page of `walk`: its keys in order, and how long the request took.
    pub(super) fn listed<K: AsRef<str>>(&mut self, walk: &Walk, keys: &[K], took: Duration, now: Instant) {
        let part = walk.part(keys);
        for key in &keys[..part] {
            self.note(key.as_ref());
        }
        let last = keys[..part].last().map(|key| key.as_ref().to_owned());
        let to_the_end = walk.end.is_none();
        let pass = if walk.quick { &mut self.quick } else { &mut self.full };
        pass.took += took;
        let goes_on = part == keys.len() && keys.len() >= LIST_PAGE_MAX;
        if goes_on {
            if let Some(walk) = pass.walks.front_mut() {
                walk.after = last;
            }
            return;
        }
        pass.walks.pop_front();
        if pass.walks.is_empty() {
            pass.due = now + EVERY.max(pass.took.saturating_mul(REST));
            pass.took = Duration::ZERO;
        }
        if to_the_end {
            self.last_key = last.or_else(|| walk.after.clone());
        }
    }

    fn note(&mut self, key: &str) {
        if !self.noted.is_empty() && key.starts_with(&self.noted) {
            return;
        }
        let Some((series, day)) = Series::of(key) else { return };
        self.noted = series.from(day);
        if let Some(newest) = self.series.get_mut(&series) {
            *newest = day.max(*newest);
        } else if self.series.len() < SERIES_MAX {
            self.series.insert(series, day);
        } else if !self.crowded {
            self.crowded = true;
            tracing::warn!(
                prefix = self.prefix,
                series = SERIES_MAX,
                "too many folders of days for quick passes; a queue of notifications finds new objects sooner"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use jiff::civil::date;

    use super::*;

    const TODAY: Date = date(2026, 11, 22);

    /// Goes through what is due over these sorted keys; gives each listing with the number of keys.
    fn run(passes: &mut Passes, keys: &[String], now: Instant, took: Duration) -> Vec<(Walk, usize)> {
        let mut done = Vec::new();
        while let Some(walk) = passes.next(now, TODAY) {
            let page: Vec<&String> = keys
                .iter()
                .filter(|k| k.starts_with(&walk.prefix))
                .filter(|k| walk.after.as_ref().is_none_or(|after| *k > after))
                .take(LIST_PAGE_MAX)
                .collect();
            passes.listed(&walk, &page, took, now);
            done.push((walk.clone(), walk.part(&page)));
        }
        done
    }

    fn trail(region: &str, day: i8, n: usize) -> String {
        format!("AWSLogs/111122223333/CloudTrail/{region}/2026/11/{day:02}/{n:05}.json.gz")
    }

    fn year() -> Vec<String> {
        let mut keys: Vec<String> = (1..=21)
            .flat_map(|day| (0..200).map(move |n| trail("eu-west-1", day, n)))
            .chain((1..=5).map(|day| trail("us-east-1", day, 1)))
            .chain(["zoo/readme.txt".to_owned()])
            .collect();
        keys.sort();
        keys
    }

    #[test]
    fn a_small_bucket_is_gone_through_every_time() {
        let start = Instant::now();
        let mut passes = Passes::new("", start);
        let keys = vec!["a".to_owned(), "b/c".to_owned()];
        for round in 0..3 {
            let now = start + EVERY * round;
            let done = run(&mut passes, &keys, now, Duration::from_millis(50));
            assert_eq!(done.iter().map(|(_, n)| n).collect::<Vec<_>>(), [&2]);
            assert!(!done[0].0.quick);
            assert_eq!(passes.next(now + EVERY / 2, TODAY), None);
        }
    }

    #[test]
    fn the_quick_pass_lists_recent_days_and_what_comes_after_the_last_key() {
        let start = Instant::now();
        let mut passes = Passes::new("", start);
        let mut keys = year();
        let slow = Duration::from_secs(3);
        assert_eq!(run(&mut passes, &keys, start, slow).len(), 5);
        keys.push(trail("eu-west-1", 22, 0));
        keys.push(trail("eu-west-1", 3, 9999));
        keys.push("zoo/tail".to_owned());
        keys.sort();
        let quick = |passes: &mut Passes, rounds: u32| -> Vec<(String, usize)> {
            let done = run(passes, &keys, start + EVERY * rounds, slow);
            done.into_iter()
                .filter(|(walk, _)| walk.quick)
                .map(|(walk, n)| (walk.after.unwrap(), n))
                .collect()
        };
        let series = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/21/".to_owned();
        // The other region has had nothing for weeks, the late object waits for the full pass.
        assert_eq!(quick(&mut passes, 1), [(series.clone(), 201), ("zoo/readme.txt".to_owned(), 1)]);
        assert_eq!(quick(&mut passes, 5), [(series, 201), ("zoo/tail".to_owned(), 0)]);
        let full = run(&mut passes, &keys, start + EVERY * 10, slow);
        assert!(full.iter().all(|(walk, _)| !walk.quick), "the full pass has only begun");
        assert_eq!(full.iter().map(|(_, n)| n).sum::<usize>(), keys.len());
    }

    #[test]
    fn a_long_full_pass_gives_way_to_the_quick_one_and_rests_after_it() {
        let start = Instant::now();
        let mut passes = Passes::new("", start);
        let keys: Vec<String> = (0..5000).map(|n| trail("eu-west-1", 21, n)).collect();
        let page = |from: usize| &keys[from..from + LIST_PAGE_MAX];
        let (mut now, slow) = (start, Duration::from_secs(20));
        for n in 0..2 {
            let walk = passes.next(now, TODAY).unwrap();
            assert!(!walk.quick);
            now += slow;
            passes.listed(&walk, page(n * 1000), slow, now);
        }
        let walk = passes.next(now, TODAY).unwrap();
        assert!(walk.quick, "due after {EVERY:?}");
        passes.listed(&walk, &keys[..10], slow, now);
        let walk = passes.next(now, TODAY).unwrap();
        assert_eq!((walk.quick, walk.after.as_deref()), (false, Some(&*keys[1999])));
        passes.listed(&walk, &keys[4990..], slow, now);
        // Three requests of 20 s: the next full pass is 20 minutes away, the quick one closer.
        assert!(passes.next(now + EVERY * 13, TODAY).is_none());
        assert!(passes.next(now + EVERY * 14, TODAY).unwrap().quick);
        let walk = passes.next(now + EVERY * 41, TODAY).unwrap();
        passes.listed::<&str>(&walk, &[], Duration::ZERO, now + EVERY * 41);
        let tail = passes.next(now + EVERY * 41, TODAY).unwrap();
        passes.listed::<&str>(&tail, &[], Duration::ZERO, now + EVERY * 41);
        assert!(!passes.next(now + EVERY * 41, TODAY).unwrap().quick);
    }

    #[test]
    fn what_sorts_after_the_days_is_not_theirs() {
        let start = Instant::now();
        let mut passes = Passes::new("", start);
        let mut keys = vec!["2026/11/21/a".to_owned(), "2026/11/22/a".to_owned()];
        keys.extend((0..3000).map(|n| format!("other/{n:04}")));
        run(&mut passes, &keys, start, Duration::from_secs(10));
        let quick = run(&mut passes, &keys, start + EVERY, Duration::ZERO);
        assert_eq!(quick.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn series_are_bounded() {
        let start = Instant::now();
        let mut passes = Passes::new("", start);
        let keys: Vec<String> = (0..SERIES_MAX + 10).map(|n| format!("{n:06}/2026/11/22/x")).collect();
        run(&mut passes, &keys, start, Duration::ZERO);
        assert_eq!(passes.series.len(), SERIES_MAX);
    }
}
