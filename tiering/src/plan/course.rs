//! What a policy will do with objects: when they lie in which class, and what is asked of the store.
//!
//! A pure function of the objects' state and of the policy. The same state at a later time gives the rest
//! of the same course, so a policy that changes on the way is followed by cutting the course at the change
//! and going on from [`Course::state_at`] with the other policy.

use std::{ops::Range, time::Duration};

use linchpin_store::PART_BYTES;

use crate::{
    enforce,
    policy::RetentionClass,
    prices::{Op, Provider},
    tiers,
};

/// How a policy is carried out, as a plan sees it: means of what [`enforce`] does.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Time that passes on average until what is due is done: half the time between two passes.
    pub wait: Duration,
    /// Time between marking for deletion and deleting.
    pub grace: Duration,
    /// Time that objects stay after their segments have left them.
    pub linger: Duration,
    /// Size of a pack. Objects of half of it are large enough to be moved as they are.
    pub pack_bytes: u64,
    /// Time between the commits of the first and the last segment of a pack: the pack waits for the last.
    pub pack_span: Duration,
}

impl Default for Habits {
    /// A pass an hour, and the largest packs.
    fn default() -> Self {
        Self::of(&enforce::Habits::default(), Duration::from_hours(1), 0.0)
    }
}

impl Habits {
    /// The means for so many bytes a day that become due together, with a pass every so often.
    ///
    /// Little waits for as long as it may and makes a pack of what came until then; much makes a pack
    /// as soon as there is enough for one.
    pub fn of(habits: &enforce::Habits, pass: Duration, bytes_day: f64) -> Self {
        let (min, max) = (habits.pack_bytes_min as f64, habits.pack_bytes_max as f64);
        let within = |time: Duration| bytes_day * time.as_secs_f64() / DAY_SECONDS;
        let waited = within(habits.pack_wait + pass);
        let filled = if within(pass) >= max { max } else { (min + within(pass) / 2.0).min(max) };
        let pack = if waited < min { waited } else { filled };
        let span = if bytes_day > 0.0 { pack / bytes_day * DAY_SECONDS } else { 0.0 };
        Self {
            wait: pass / 2,
            grace: enforce::TOMBSTONE_WAIT,
            linger: habits.reader_wait + pass / 2,
            pack_bytes: if bytes_day > 0.0 { pack as u64 } else { habits.pack_bytes_max },
            pack_span: Duration::from_secs_f64(span),
        }
    }
}

/// Seconds of a day.
const DAY_SECONDS: f64 = 86_400.0;

/// The policy of one retention class with one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Who runs the store.
    pub provider: Provider,
    /// (From when on, class), counted from the commit; see [`tiers::way`].
    pub steps: Vec<(Duration, &'static str)>,
    /// When objects are due for deletion, counted from the commit.
    pub expire: Duration,
}

impl Way {
    /// The way of a retention class.
    pub fn of(class: &RetentionClass, provider: Provider) -> Self {
        Self { provider, steps: tiers::way(&class.tiers, provider), expire: class.expire }
    }
}

/// Objects that share their fate: same size, same commit, same class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objects {
    /// How many; a fraction where a segment is a part of an object, or for a rate.
    pub count: f64,
    /// Bytes of each.
    pub bytes: u64,
    /// When their segments were committed, epoch milliseconds.
    pub committed_ms: i64,
    /// The class that they are in.
    pub class: &'static str,
    /// Since when, epoch milliseconds.
    pub since_ms: i64,
    /// Whether they are packs already.
    pub packed: bool,
    /// Whether they have yet to be put, at `committed_ms`.
    pub new: bool,
}

impl Objects {
    /// Segments that will be committed at a time.
    pub fn new(count: f64, bytes: u64, committed_ms: i64, provider: Provider) -> Self {
        let class = tiers::first(provider);
        Self { count, bytes, committed_ms, class, since_ms: committed_ms, packed: false, new: true }
    }
}

/// Objects in a class, from when they come until they leave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lying {
    /// The class.
    pub class: &'static str,
    /// How many.
    pub count: f64,
    /// Bytes of each.
    pub bytes: u64,
    /// Since when they are there, epoch milliseconds; may be before the course begins.
    pub since_ms: i64,
    /// The part of it that belongs to the course, epoch milliseconds.
    pub period: Period,
    /// Whether they are packs.
    pub packed: bool,
}

/// A period, epoch milliseconds: from, and before.
pub type Period = (i64, i64);

/// Requests of one kind at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// Kind.
    pub op: Op,
    /// The class that is billed.
    pub class: &'static str,
    /// How many.
    pub count: f64,
    /// Bytes read without a restore, in all.
    pub read_bytes: f64,
}

/// What will happen to objects, until they are deleted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Course {
    /// Where they lie, in time's order, without gaps. Objects that were packed are there for a while
    /// beside their pack.
    pub stays: Vec<Lying>,
    /// What is asked of the store, in time's order.
    pub asked: Vec<Asked>,
    committed_ms: i64,
}

/// Requests that putting an object takes: one that is billed with its class, and those for its parts,
/// which are billed with the first class.
pub fn put_requests(provider: Provider, bytes: u64) -> (u64, u64) {
    let parts = bytes.div_ceil(PART_BYTES as u64).max(1);
    match (provider, parts) {
        (_, 1) | (Provider::Local, _) => (1, 0),
        // beginning, parts; completing is billed with the class
        (Provider::S3, parts) => (1, parts + 1),
        (Provider::Azure, parts) => (1, parts),
        (Provider::Gcs, _) => (1, 1),
    }
}

/// Whether moving an object to another class reads it: S3 and GCS write it again.
const fn moves_by_copy(provider: Provider) -> bool {
    matches!(provider, Provider::S3 | Provider::Gcs)
}

/// What a policy does with objects from `from_ms` on.
pub fn course(objects: &Objects, way: &Way, habits: &Habits, from_ms: i64) -> Course {
    let mut course = Course { committed_ms: objects.committed_ms, ..Course::default() };
    let mut now = *objects;
    let from_ms = if objects.new { objects.committed_ms } else { from_ms };
    if objects.new {
        course.put(way.provider, from_ms, now.class, now.count, now.bytes);
    }
    let mut begin = from_ms;
    let clock = Clock { objects, habits, from_ms, packs: way.steps.len() > 1 && is_packed(objects, habits) };
    let over_ms = clock.due(way.expire);
    let end_ms = over_ms.saturating_add(millis(habits.grace));
    for (n, (after, class)) in way.steps.iter().enumerate().skip(1) {
        let at_ms = clock.due(*after);
        let next = way.steps.get(n + 1).map(|(after, _)| clock.due(*after));
        // Steps that are due at the same time are one move, to the last of them; what is over stays.
        if next.is_some_and(|next| next <= at_ms) || at_ms >= over_ms || now.class == *class {
            continue;
        }
        if tiers::needs_restore(way.provider, now.class) {
            break;
        }
        let there = course.leave(&now, class, way.provider, habits, at_ms);
        let linger = if there.packed == now.packed { 0 } else { millis(habits.linger) };
        course.lie(&now, (begin, at_ms.saturating_add(linger)));
        (now, begin) = (there, at_ms);
    }
    course.lie(&now, (begin, end_ms));
    course.ask(end_ms, Op::Get, now.class, now.count, 0.0);
    course.ask(end_ms, Op::Delete, now.class, now.count, 0.0);
    course
}

/// Whether segments go into packs when they first move.
fn is_packed(objects: &Objects, habits: &Habits) -> bool {
    !objects.packed && objects.bytes.saturating_mul(2) < habits.pack_bytes
}

/// When things are done.
struct Clock<'a> {
    objects: &'a Objects,
    habits: &'a Habits,
    from_ms: i64,
    packs: bool,
}

impl Clock<'_> {
    /// When something is done that is due so long after the commit; never before the course begins. What
    /// goes into a pack waits for the last of it, half its span on average.
    fn due(&self, after: Duration) -> i64 {
        let span = if self.packs { self.habits.pack_span / 2 } else { Duration::ZERO };
        let due = self.objects.committed_ms.saturating_add(millis(after)).saturating_add(millis(span));
        due.max(self.from_ms).saturating_add(millis(self.habits.wait))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Course {
    fn lie(&mut self, objects: &Objects, period: Period) {
        let Objects { class, count, bytes, since_ms, packed, .. } = *objects;
        self.stays.push(Lying { class, count, bytes, since_ms, period, packed });
    }

    fn ask(&mut self, at_ms: i64, op: Op, class: &'static str, count: f64, read_bytes: f64) {
        self.asked.push(Asked { at_ms, op, class, count, read_bytes });
    }

    fn put(&mut self, provider: Provider, at_ms: i64, class: &'static str, count: f64, bytes: u64) {
        let (own, parts) = put_requests(provider, bytes);
        self.ask(at_ms, Op::Put, class, count * own as f64, 0.0);
        if parts > 0 {
            self.ask(at_ms, Op::Put, tiers::first(provider), count * parts as f64, 0.0);
        }
    }

    /// Repacks what is not packed yet, moves the rest.
    fn leave(
        &mut self,
        now: &Objects,
        class: &'static str,
        provider: Provider,
        habits: &Habits,
        at_ms: i64,
    ) -> Objects {
        let all_bytes = now.count * now.bytes as f64;
        let there = Objects { class, since_ms: at_ms, ..*now };
        if !is_packed(now, habits) {
            let read = if moves_by_copy(provider) { all_bytes } else { 0.0 };
            self.ask(at_ms, Op::Get, now.class, now.count, read);
            self.ask(at_ms, Op::Move, class, now.count, 0.0);
            return there;
        }
        let packs = all_bytes / habits.pack_bytes as f64;
        self.ask(at_ms, Op::Get, now.class, now.count, all_bytes);
        self.put(provider, at_ms, class, packs, habits.pack_bytes);
        // A look whether it is there, then the old objects go.
        self.ask(at_ms, Op::Get, class, packs, 0.0);
        self.ask(at_ms, Op::Get, now.class, now.count, 0.0);
        self.ask(at_ms, Op::Delete, now.class, now.count, 0.0);
        Objects { count: packs, bytes: habits.pack_bytes, packed: true, ..there }
    }

    /// The objects as they are at a time; `None` before they come and after they are deleted.
    pub fn state_at(&self, at_ms: i64) -> Option<Objects> {
        let lying = self.stays.iter().rev().find(|stay| (stay.period.0..stay.period.1).contains(&at_ms))?;
        let Lying { class, count, bytes, since_ms, packed, .. } = *lying;
        Some(Objects { count, bytes, committed_ms: self.committed_ms, class, since_ms, packed, new: false })
    }

    /// The course up to a time: nothing has left that leaves later.
    #[must_use]
    pub fn until(mut self, at_ms: i64) -> Self {
        self.stays.retain(|stay| stay.period.0 < at_ms);
        self.asked.retain(|asked| asked.at_ms < at_ms);
        self
    }

    /// When it ends, epoch milliseconds.
    pub fn end_ms(&self) -> i64 {
        self.stays.last().map_or(self.committed_ms, |stay| stay.period.1)
    }

    /// The stays with the part of them that is in a period, milliseconds.
    pub fn within(&self, period: &Range<i64>) -> impl Iterator<Item = (&Lying, i64)> {
        let Range { start, end } = *period;
        self.stays.iter().filter_map(move |stay| {
            let ms = stay.period.1.min(end) - stay.period.0.max(start);
            (ms > 0).then_some((stay, ms))
        })
    }
}
