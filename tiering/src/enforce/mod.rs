//! Carries out the applied policy: packs and moves segments, drops hot days, deletes what is over.
//!
//! **Contract.** Nothing that is held or not over is deleted, and what is not certain is kept. A pass
//! reads its decisions from the ledger's state, does the store's part first and then commits the fact
//! of it; so it can stop anywhere, be repeated, or run twice at once, and leaves at worst a pack that
//! nobody refers to, which is swept a week later.
//!
//! - *Moving* (`moves`): segments that are due for another storage class are packed (one retention
//!   class and commit month, 128 to 240 MB) straight into it; larger objects change their class in
//!   place. Objects under a lock or a hold are written anew with the same guard, and the old
//!   ones go when theirs is over (but with Azure, which moves them where they are). Nothing is
//!   moved out of a class whose reads need a restore, as that would cost one, nor back to the class that
//!   segments begin in.
//! - *Locking* (`locks`): segments of a class with a lock that have none yet.
//! - *Deleting* (`deletion`) has two steps a week apart. Between them and again right before the
//!   second, holds and the policy are looked at. A pack goes when all of its segments may.
//! - *Guards*: a clock that is more than five minutes from the stores' or behind the ledger's stops the
//!   whole pass; more than twice the usual volume falling due stops the deleting.
//! - A hot day's expiry is committed to the ledger before its files leave the table, so a question
//!   about it is never answered from half of it.

mod deletion;
mod locks;
mod moves;
#[cfg(test)]
#[path = "tests/simulation.rs"]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::civil::Date;
use linchpin_store::{StoreError, clock_ms};

use crate::{
    Lake, LakeError,
    hold::{self, HoldError},
    hot::{HotError, due},
    ledger::{CommitError, FACTS_MAX, Fact, SegmentState},
    policy::RetentionClass,
    signing::Signer,
};

pub(crate) use moves::hold_on;
pub use moves::{LOCK_MARGIN, first_lock};

/// How long a tombstoned segment waits for its deletion.
pub const TOMBSTONE_WAIT: Duration = Duration::from_hours(7 * 24);
/// Most that the clock may be away from a store's.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_mins(5);

/// What a pass works by.
#[derive(Debug)]
pub struct Order<'a> {
    /// The classes of the configuration's policy.
    pub classes: &'a [RetentionClass],
    /// Hash of its text: it must be the applied one.
    pub policy: [u8; 32],
    /// The present that it decides by, epoch milliseconds.
    pub now_ms: i64,
    /// What its facts are dated with, epoch milliseconds: the same, unless somebody gave another present.
    pub dated_ms: i64,
    /// Signs tombstones and deletions; without one they are not signed.
    pub signer: Option<&'a Signer>,
    /// How it is done.
    pub habits: Habits,
}

/// How a policy is carried out.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Segments that are due wait until there is so much for a pack, in bytes.
    pub pack_bytes_min: u64,
    /// Largest pack in bytes: one that is larger answers an expedited restore late.
    pub pack_bytes_max: u64,
    /// Longest time that they wait.
    pub pack_wait: Duration,
    /// How long readers of an old place may go on after it has changed.
    pub reader_wait: Duration,
    /// Whether the clock is compared with the stores'. Not for a present that somebody gave.
    pub check_clock: bool,
    /// Whether more than twice the usual volume may be marked for deletion.
    pub any_volume: bool,
    /// Whether orphans are looked for, which lists all packs: once a day is often enough.
    pub sweep: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            pack_bytes_min: 128_000_000,
            pack_bytes_max: 240_000_000,
            pack_wait: Duration::from_hours(24),
            reader_wait: Duration::from_hours(1),
            check_clock: true,
            any_volume: false,
            sweep: true,
        }
    }
}

/// Whether the outputs have what they need of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// All have.
    All,
    /// One that still may be late has not.
    NotYet,
    /// These have not, and none of them may be that late.
    Late(Vec<String>),
}

/// What one pass did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Enforced {
    /// Hot days dropped: (class, day).
    pub hot: Vec<(String, Date)>,
    /// Segments that are in another object now.
    pub repacked: Vec<String>,
    /// Segments whose object is in another class now.
    pub moved: Vec<String>,
    /// Segments that were without the lock that their class asks for.
    pub locked: Vec<String>,
    /// Old objects deleted after their segments had left them.
    pub freed: Vec<String>,
    /// Segments that wait for deletion now.
    pub tombstoned: Vec<String>,
    /// Segments deleted.
    pub deleted: Vec<String>,
    /// (Output, segment): moved although the output has not passed it.
    pub gaps: Vec<(String, String)>,
    /// What could not be done this time, in words; somebody should look.
    pub problems: Vec<String>,
}

/// Why a pass stopped.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// The policy of the file is not the one that was applied.
    #[error(
        "the retention policy of the configuration was never applied: nothing is deleted under it\nhint: look at it, then run `linchpin apply -c FILE`"
    )]
    NotApplied,
    /// The clock of this machine cannot be right.
    #[error("the clock is {} s away from that of {whose}: nothing is done\nhint: set the clock of this machine", .skew.as_secs())]
    Clock {
        /// Whose clock says so.
        whose: String,
        /// How far away it is.
        skew: Duration,
    },
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The hot table failed.
    #[error(transparent)]
    Hot(#[from] HotError),
    /// The holds could not be brought up to date.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The ledger could not be told.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One pass. `passed` says how the outputs stand to a segment.
pub async fn once(
    lake: &Lake,
    order: &Order<'_>,
    passed: impl AsyncFn(&SegmentState) -> Result<Passed, LakeError>,
) -> Result<Enforced, EnforceError> {
    lake.ledger.refresh().await.map_err(LakeError::from)?;
    if lake.ledger.applied().is_none_or(|a| a.fact.hash != order.policy) {
        return Err(EnforceError::NotApplied);
    }
    if order.habits.check_clock {
        check_clock(lake, order.now_ms).await?;
    }
    let mut done = Enforced::default();
    let mut pass = Pass { lake, order, done: &mut done, facts: Vec::new() };
    pass.problems_of_holds().await?;
    pass.hot().await?;
    pass.free().await?;
    pass.locks().await?;
    pass.moves(&passed).await?;
    pass.tombstone(&passed).await?;
    pass.delete().await?;
    if order.habits.sweep {
        pass.sweep().await?;
    }
    Ok(done)
}

/// Refuses a clock that is behind the ledger's or away from a store's.
async fn check_clock(lake: &Lake, now_ms: i64) -> Result<(), EnforceError> {
    let judge = |whose: &str, theirs: i64, behind_only: bool| {
        let skew = Duration::from_millis(now_ms.abs_diff(theirs));
        if skew <= CLOCK_SKEW_MAX || (behind_only && now_ms >= theirs) {
            return Ok(());
        }
        Err(EnforceError::Clock { whose: whose.to_owned(), skew })
    };
    judge("the ledger", lake.ledger.last_ms(), true)?;
    for name in lake.archive_names() {
        let theirs = clock_ms(&*lake.archive(name)?).await?;
        judge(&format!("the archive `{name}`"), theirs, false)?;
    }
    Ok(())
}

/// A pass under way.
struct Pass<'a> {
    lake: &'a Lake,
    order: &'a Order<'a>,
    done: &'a mut Enforced,
    /// What was done in the stores and is not committed yet.
    facts: Vec<Fact>,
}

/// Facts that are gathered before they are committed: what a crash in between leaves undone in the
/// ledger, the next pass finds done in the store.
const FACTS_AT_ONCE: usize = 256;

impl Pass<'_> {
    fn class(&self, name: &str) -> Option<&RetentionClass> {
        self.order.classes.iter().find(|class| class.name == name)
    }

    /// Notes what could not be done, and goes on.
    fn problem(&mut self, what: &str, error: &dyn std::fmt::Display) {
        tracing::warn!(what, %error, "left for the next pass");
        self.done.problems.push(format!("{what}: {error}"));
    }

    /// Gathers facts for the next commit.
    async fn note(&mut self, facts: impl IntoIterator<Item = Fact>) -> Result<(), EnforceError> {
        self.facts.extend(facts);
        if self.facts.len() < FACTS_AT_ONCE { Ok(()) } else { self.commit().await }
    }

    /// Commits what was gathered.
    async fn commit(&mut self) -> Result<(), EnforceError> {
        let mut facts = std::mem::take(&mut self.facts).into_iter().peekable();
        while facts.peek().is_some() {
            let some = facts.by_ref().take(FACTS_MAX).collect();
            self.lake.ledger.commit_at(some, self.order.dated_ms).await?;
        }
        Ok(())
    }

    /// Looks at what came in since the holds were placed.
    async fn problems_of_holds(&mut self) -> Result<(), EnforceError> {
        for (what, error) in hold::extend(self.lake, self.order.dated_ms).await? {
            self.problem(&what, &error);
        }
        Ok(())
    }

    async fn hot(&mut self) -> Result<(), EnforceError> {
        let Order { classes, now_ms, .. } = *self.order;
        let known = self.lake.ledger.hot_expired();
        let due: Vec<(String, Date)> = due(self.lake.hot.stats().await?.keys(), classes, now_ms);
        let facts = due
            .iter()
            .filter(|partition| !known.contains(*partition))
            .map(|(class, day)| Fact::HotExpired { class: class.clone(), day: *day });
        self.note(facts).await?;
        self.commit().await?;
        if !due.is_empty() {
            self.done.hot = self.lake.hot.expire(classes, now_ms).await?;
        }
        Ok(())
    }
}

/// Whether `wait` is over since a time.
fn is_past(since_ms: i64, wait: Duration, now_ms: i64) -> bool {
    after(since_ms, wait) <= now_ms
}

/// The time `wait` after another, epoch milliseconds.
fn after(since_ms: i64, wait: Duration) -> i64 {
    since_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}
