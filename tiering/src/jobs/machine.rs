//! The state machine of a job: pure. What was seen changes the state, the state says what to do next.
//!
//! **Contract.** Money is committed before it is spent: [`Job::next`] charges a part and puts the
//! intent into its state, and its caller makes that state durable before it sends the request. So a
//! process that dies at any moment leaves a state in which every request that may have gone out is
//! charged. A charge is given back only when it is certain that nothing was begun. After a restart the
//! store is asked how an object stands; a request that certainly never arrived is repeated under the
//! charge that it has, and one whose copy may have come and gone is charged again. What the budget
//! does not allow is not begun, whatever else goes on.

use linchpin_store::Restore;

use super::job::{Approval, Job, Micros, Part, PartState};
use crate::prices::Speed;

/// Steps of a wave, at least: a wave is as long as its parts are few, ...
const WAVE_MIN: usize = 32;
/// ... and otherwise a 64th of them, so that the state of a large job is not written too often and a
/// death costs at most so much of the work.
const WAVES: usize = 64;
/// Failures in a row after which a part is given up.
pub const TRIES_MAX: u32 = 12;
/// A copy is not read any more so shortly before it goes: it is restored again.
const MARGIN_MS: i64 = 60_000;
/// First pause after a failure; doubles with each one.
const PAUSE_MS: i64 = 5_000;
/// Longest pause after a failure.
const PAUSE_MS_MAX: i64 = 3_600_000;
/// Pause after a store had no room for an expedited restore.
const NO_EXPEDITED_MS: i64 = 15 * 60_000;
/// Refusals of expedited restores after which the next slower speed is taken.
const NO_EXPEDITED_MAX: u32 = 3;
const DAY_MS: i64 = 86_400_000;

/// Something to do for a part, named by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask the store how the object stands.
    Look(usize),
    /// Ask the store to restore the object; it is charged.
    Ask(usize),
    /// Read the events and hand them over.
    Read(usize),
    /// Deliver what is staged.
    Deliver(usize),
    /// Ask the ledger where the segments are now.
    Resolve(usize),
    /// Let the restored copy go.
    Release(usize),
}

impl Step {
    /// Index of the part.
    pub const fn part(self) -> usize {
        match self {
            Self::Look(n)
            | Self::Ask(n)
            | Self::Read(n)
            | Self::Deliver(n)
            | Self::Resolve(n)
            | Self::Release(n) => n,
        }
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The object is there and stands so.
    Stands(Restore),
    /// Nothing was asked for: the object is not the one that was priced.
    Changed,
    /// The store refused, so nothing is billed: no expedited restore can be had now.
    NoExpedited,
    /// The object is not there any more, or is another version.
    Gone,
    /// The ledger says that the segments are in these parts now.
    Moved(Vec<Part>),
    /// The events were read and are safe in the lake.
    Staged {
        /// Bytes read.
        bytes: u64,
    },
    /// The events are at the destination.
    Delivered {
        /// Number of events.
        events: u64,
        /// Bytes read.
        bytes: u64,
    },
    /// The restored copy is gone, or will go by itself.
    Released,
    /// A read found that the object must be restored first: the copy is gone.
    Unreadable {
        /// Bytes read until then.
        bytes: u64,
    },
    /// It failed, and whether it had an effect is not known.
    Failed {
        /// Why.
        why: String,
        /// Bytes read until then.
        bytes: u64,
    },
    /// It will never work.
    Hopeless(String),
}

impl Job {
    /// Lets the job cost money. `price` gives, for a part and the speed that was chosen, the speed its
    /// class has and the most that it costs.
    pub fn approve(&mut self, approval: Approval, price: impl Fn(&Part, Speed) -> (Speed, Micros)) {
        for part in self.parts.iter_mut().filter(|part| !part.charged && !part.state.is_final()) {
            (part.speed, part.price) = price(part, approval.speed);
        }
        self.approval = Some(approval);
    }

    /// Steps of a wave, and segments that are read before the state is written again.
    pub(super) fn wave(&self) -> usize {
        WAVE_MIN.max(self.parts.len() / WAVES)
    }

    /// What to do now, at most a wave of steps. The state must be durable before they are taken.
    pub fn next(&mut self, now_ms: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(approval) = self.approval.as_ref().filter(|_| !self.cancelled) else { return steps };
        let (budget, wave) = (approval.budget, self.wave());
        for (n, part) in self.parts.iter_mut().enumerate() {
            if steps.len() >= wave {
                break;
            }
            // What is charged already, or costs nothing, owes nothing.
            let owes = part.owes();
            if part.not_before_ms > now_ms || self.committed.saturating_add(owes) > budget {
                continue;
            }
            let step = match part.state {
                PartState::Archived => {
                    part.state = PartState::Asked { since_ms: now_ms };
                    part.charged = true;
                    self.restores += 1;
                    Step::Ask(n)
                }
                PartState::Readable { until_ms: Some(until) } if until - MARGIN_MS <= now_ms => Step::Look(n),
                PartState::Readable { .. } => {
                    part.charged |= owes > 0;
                    Step::Read(n)
                }
                PartState::Asked { .. } | PartState::Restoring { .. } => Step::Look(n),
                PartState::Staged => Step::Deliver(n),
                PartState::Displaced => Step::Resolve(n),
                PartState::Served => Step::Release(n),
                PartState::Delivered | PartState::Moved | PartState::Lost { .. } => continue,
            };
            self.committed += owes;
            steps.push(step);
        }
        steps
    }

    /// Ends the pauses that failures have brought.
    pub fn hurry(&mut self) {
        self.parts.iter_mut().filter(|part| part.tries > 0).for_each(|part| part.not_before_ms = 0);
    }

    /// When [`Job::next`] has something to do again, epoch milliseconds; `None` if that depends on
    /// people.
    pub fn wakes_ms(&self, now_ms: i64) -> Option<i64> {
        if self.phase() != super::Phase::Running {
            return None;
        }
        let left = self.approval.as_ref().map_or(0, |a| a.budget).saturating_sub(self.committed);
        let open = self.parts.iter().filter(|part| !part.state.is_final() && part.owes() <= left);
        open.map(|part| part.not_before_ms.max(now_ms)).min()
    }

    /// Takes note of what came of a step.
    pub fn record(&mut self, step: Step, seen: Seen, now_ms: i64) {
        let days = self.approval.as_ref().map_or(0, |approval| approval.days);
        let Some(part) = self.parts.get_mut(step.part()) else { return };
        if let Seen::Failed { why, .. } | Seen::Hopeless(why) = &seen {
            self.trouble = Some(format!("{}: {why}", part.object));
        }
        match seen {
            Seen::Stands(restore) => stands(part, restore, days, now_ms),
            Seen::NoExpedited => {
                self.committed -= refund(part);
                self.restores = self.restores.saturating_sub(1);
                part.state = PartState::Archived;
                part.tries += 1;
                if part.tries >= NO_EXPEDITED_MAX {
                    (part.speed, part.tries) = (Speed::Standard, 0);
                } else {
                    part.not_before_ms = now_ms + NO_EXPEDITED_MS;
                }
            }
            Seen::Changed => {
                self.committed -= refund(part);
                self.restores = self.restores.saturating_sub(1);
                part.state = PartState::Displaced;
            }
            // What was paid for the object is spent.
            Seen::Gone => displace(part, now_ms),
            Seen::Moved(parts) => {
                let tries = part.tries;
                part.state = PartState::Moved;
                self.parts.extend(parts.into_iter().map(|part| Part { tries, ..part }));
            }
            Seen::Staged { bytes } => {
                part.state = PartState::Staged;
                (part.tries, part.not_before_ms) = (0, 0);
                self.bytes_read += bytes;
            }
            Seen::Delivered { events, bytes } => {
                part.state = if part.copied { PartState::Served } else { PartState::Delivered };
                (part.tries, part.not_before_ms) = (0, 0);
                self.events += events;
                self.bytes_read += bytes;
            }
            Seen::Released => part.state = PartState::Delivered,
            Seen::Unreadable { bytes } => {
                self.bytes_read += bytes;
                displace(part, now_ms);
            }
            // Networks come back: what fails is tried as long as the job is wanted.
            Seen::Failed { bytes, .. } => {
                self.bytes_read += bytes;
                pause(part, now_ms);
            }
            Seen::Hopeless(why) => part.state = PartState::Lost { why },
        }
    }
}

/// What is given back of what was committed.
fn refund(part: &mut Part) -> Micros {
    if std::mem::take(&mut part.charged) { part.price } else { 0 }
}

/// What was known of the object does not hold any more: it is found and priced anew.
fn displace(part: &mut Part, now_ms: i64) {
    (part.charged, part.copied) = (false, false);
    part.state = PartState::Displaced;
    fail(part, "the object changed, or its restored copy expired, too often", now_ms);
}

const fn since(state: &PartState) -> Option<i64> {
    match state {
        PartState::Asked { since_ms } | PartState::Restoring { since_ms } => Some(*since_ms),
        _ => None,
    }
}

fn stands(part: &mut Part, restore: Restore, days: u32, now_ms: i64) {
    if restore != Restore::Archived {
        (part.tries, part.not_before_ms) = (0, 0);
    }
    match (restore, &part.state) {
        (Restore::Online, _) => part.state = PartState::Readable { until_ms: None },
        (Restore::Until(until), _) if until - MARGIN_MS > now_ms => {
            part.copied |= part.charged;
            part.state = PartState::Readable { until_ms: Some(until) };
        }
        // Too late to read it: what comes next is seen when it is gone.
        (Restore::Until(until), _) => part.not_before_ms = until + MARGIN_MS,
        (Restore::InProgress, state) => {
            part.state = PartState::Restoring { since_ms: since(state).unwrap_or(now_ms) };
            part.not_before_ms = now_ms + poll_ms(part.speed);
        }
        // A copy lives for days: within that time its absence says that the request never arrived.
        (Restore::Archived, PartState::Asked { since_ms })
            if now_ms < since_ms + i64::from(days) * DAY_MS =>
        {
            part.state = PartState::Archived;
            fail(part, "no restore begins", now_ms);
        }
        (Restore::Archived, _) => displace(part, now_ms),
    }
}

/// Pauses a part, and gives it up at last.
fn fail(part: &mut Part, why: &str, now_ms: i64) {
    pause(part, now_ms);
    if part.tries >= TRIES_MAX {
        part.state = PartState::Lost { why: why.to_owned() };
    }
}

/// Pauses a part, longer with each failure.
fn pause(part: &mut Part, now_ms: i64) {
    part.tries += 1;
    let pause = PAUSE_MS << (part.tries - 1).min(16);
    part.not_before_ms = now_ms + pause.min(PAUSE_MS_MAX);
}

/// How long to wait between two looks at an object that is being restored.
const fn poll_ms(speed: Speed) -> i64 {
    match speed {
        Speed::Expedited => 30_000,
        Speed::Standard => 10 * 60_000,
        Speed::Bulk => 30 * 60_000,
    }
}
