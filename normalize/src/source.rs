//! The working state of one source in one normaliser: its scanner, and its paths resolved to slots.

use std::borrow::Cow;
use std::sync::Arc;

use crate::catalog::{fits, under};
use crate::eval::{Given, Place, Row, SlotValues, View, alsos};
use crate::event::{
    BaseRow, EventFacts, EventRow, MARK_DUPLICATE, MARK_HEARTBEAT, MARK_OVERSIZE, MARK_REJECT, MARK_UTF8,
    Sink, reason,
};
use crate::plan::{ClassPlan, Each, Found, Plan, Recognise};
use crate::scan::{PathId, Scanned, Scanner};
use crate::unit::{EVENT_BYTES_MAX, SUB_BITS};
use crate::value::Val;

/// Bits of the conditions of `recognise`: one for `any`, then those of `values`, then of `has`.
const ANY: u64 = 1;
const VALUE: u64 = 1 << 1;
const HAS: u64 = 1 << 16;

const NO_SLOT: u16 = u16::MAX;
const NOT_BELOW: u8 = u8::MAX;

/// A source's scanner and resolved paths.
pub(crate) struct SourceState {
    plan: Arc<Plan>,
    pub scanner: Scanner,
    /// For each path, its slot.
    slot_of: Vec<u16>,
    slots: SlotValues,
    found: Vec<Found>,
    /// For each class with `each`: how far below its elements a path is, in array levels.
    below: Vec<Vec<u8>>,
    /// For each class with `each`: the slots whose paths pass its list.
    scoped: Vec<Vec<bool>>,
    /// For each path, what it means to `recognise`.
    signs: Vec<Sign>,
}

/// What a path says of an event's source.
#[derive(Debug, Default, Clone, Copy)]
struct Sign {
    /// Conditions that a value at the path meets, as bits of [`SourceState::recognises`].
    has: u64,
    /// The condition on the value itself: its index in `recognise.values`.
    value: Option<u8>,
}

impl SourceState {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let scoped = plan.classes.iter().map(|class| scoped(class, &plan.slots.paths)).collect();
        Self {
            below: vec![Vec::new(); plan.classes.len()],
            scoped,
            plan,
            scanner: Scanner::default(),
            slot_of: Vec::new(),
            slots: SlotValues::default(),
            found: Vec::new(),
            signs: Vec::new(),
        }
    }

    /// Whether an event meets the source's conditions of content. Streams mix sources: a unit's
    /// first event does not speak for all.
    pub(crate) fn recognises(&mut self, text: &str, scanned: &Scanned) -> bool {
        let from = &self.plan.recognise;
        for path in self.signs.len()..self.scanner.paths.len() {
            self.signs.push(sign(from, &self.scanner.paths.text(PathId(path as u32))));
        }
        let mut met = 0;
        for leaf in &scanned.leaves {
            let sign = self.signs[leaf.path.0 as usize];
            met |= sign.has;
            if let Some(index) = sign.value
                && let Some(value) = text.get(leaf.start as usize..leaf.end as usize)
                && from.values[usize::from(index)].1.iter().any(|expected| fits(expected, value))
            {
                met |= VALUE << index;
            }
        }
        let wanted = (0..from.has.len()).fold(0, |bits, n| bits | HAS << n)
            | if from.any.is_empty() { 0 } else { ANY }
            | (0..from.values.len()).fold(0, |bits, n| bits | VALUE << n);
        met & wanted == wanted
    }

    /// Gives the rows of one event to `sink`. A JSON event is in `scanned`; a line is split here
    /// into `fields`.
    pub(crate) fn event(
        &mut self,
        facts: &EventFacts<'_>,
        fields: Option<&[PathId]>,
        null: &[u8],
        scanned: &mut Scanned,
        sink: &mut dyn Sink,
    ) {
        if let Some(broken) = facts.broken {
            let reject = Some(reason(broken));
            return sink.base(&BaseRow { sub: 0, marks: MARK_REJECT, time_micros: None, reject });
        }
        if facts.bytes.len() > EVENT_BYTES_MAX {
            return sink.base(&BaseRow { sub: 0, marks: MARK_OVERSIZE, time_micros: None, reject: None });
        }
        let text = facts.text.map_or_else(|| String::from_utf8_lossy(facts.bytes), Cow::Borrowed);
        match fields {
            Some(fields) => self.scanner.words(text.as_bytes(), fields, null, scanned),
            // Replacement characters move what follows them: spans must be those of the text.
            None if matches!(text, Cow::Owned(_)) => {
                if let Err(error) = self.scanner.json(text.as_bytes(), scanned) {
                    let reject = Some(reason(error));
                    return sink.base(&BaseRow { sub: 0, marks: MARK_REJECT, time_micros: None, reject });
                }
            }
            None => {}
        }
        self.rows(&text, scanned, matches!(text, Cow::Owned(_)), sink);
    }

    fn rows(&mut self, text: &str, scanned: &Scanned, lossy: bool, sink: &mut dyn Sink) {
        self.fill(scanned);
        let plan = Arc::clone(&self.plan);
        let view = View { text, scanned, paths: &self.scanner.paths, slots: &self.slots, row: None };
        self.found.clear();
        self.found.extend(plan.selectors.iter().map(|s| view.select(s)));
        let Some(index) = plan.classes.iter().position(|c| c.when.iter().all(|t| t.holds(&self.found)))
        else {
            return;
        };
        let class = &plan.classes[index];
        let alsos = alsos(class, &self.found);
        let marks = [
            (lossy, MARK_UTF8),
            (scanned.duplicate_keys, MARK_DUPLICATE),
            (class.mark.is_some(), class.mark.as_deref().unwrap_or_default()),
        ];
        let mut joined = String::new();
        for (_, mark) in marks.iter().filter(|(holds, _)| *holds) {
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(mark);
        }
        match &class.each {
            None => one(class, view, alsos, 0, &joined, sink),
            Some(each) => {
                let below = &mut self.below[index];
                for path in below.len()..self.scanner.paths.len() {
                    below.push(levels_below(&self.scanner.paths.text(PathId(path as u32)), &each.of));
                }
                let list = List { plan: &plan, class, each, below, scoped: &self.scoped[index] };
                list.rows(view, &joined, &mut self.found, sink);
            }
        }
    }

    /// Puts the event's leaves into the plan's slots.
    fn fill(&mut self, scanned: &Scanned) {
        for path in self.slot_of.len()..self.scanner.paths.len() {
            let text = self.scanner.paths.text(PathId(path as u32));
            self.slot_of.push(self.plan.slots.by_path.get(text.as_str()).copied().unwrap_or(NO_SLOT));
        }
        self.slots.reset(self.plan.slots.multi.len());
        for leaf in &scanned.leaves {
            let slot = self.slot_of[leaf.path.0 as usize];
            if slot != NO_SLOT {
                self.slots.set(slot, self.plan.slots.multi[usize::from(slot)], leaf);
            }
        }
    }
}

fn sign(from: &Recognise, path: &str) -> Sign {
    let has = from.has.iter().enumerate().filter(|(_, known)| under(path, known));
    let any = from.any.iter().any(|known| under(path, known));
    Sign {
        has: has.fold(u64::from(any) * ANY, |bits, (n, _)| bits | HAS << n),
        value: from.values.iter().position(|(known, _)| known == path).map(|n| n as u8),
    }
}

/// The list that a class makes rows of.
struct List<'a> {
    plan: &'a Plan,
    class: &'a ClassPlan,
    each: &'a Each,
    below: &'a [u8],
    scoped: &'a [bool],
}

impl List<'_> {
    /// A row for every element of the list.
    fn rows(&self, view: View<'_>, marks: &str, found: &mut Vec<Found>, sink: &mut dyn Sink) {
        let list = outermost(self.each);
        let (mut previous, mut sub) = (0, 0);
        for leaf in &view.scanned.leaves {
            let levels = self.below[leaf.path.0 as usize];
            if levels == NOT_BELOW {
                continue;
            }
            let element = (0..levels).fold(leaf.element, |e, _| view.scanned.elements[e as usize]);
            if element == previous || sub >> SUB_BITS != 0 {
                continue;
            }
            previous = element;
            let place = (levels == 0).then(|| Place::from(leaf));
            let whole = view.text.get(leaf.start as usize..leaf.end as usize).unwrap_or_default();
            let fields = match &self.each.split {
                Some(separator) if place.is_some() => whole.split(separator.as_str()).collect(),
                _ => Vec::new(),
            };
            let row = Row { element, place, fields, list, scoped: self.scoped };
            let view = View { row: Some(&row), ..view };
            found.clear();
            found.extend(self.plan.selectors.iter().map(|s| view.select(s)));
            one(self.class, view, alsos(self.class, found), sub, marks, sink);
            sub += 1;
        }
        if sub == 0 {
            let time_micros = time(self.class, view, 0);
            sink.base(&BaseRow { sub: 0, marks: MARK_HEARTBEAT, time_micros, reject: None });
        }
    }
}

/// One row, if it has what its class requires.
fn one(class: &ClassPlan, view: View<'_>, alsos: u64, sub: u32, marks: &str, sink: &mut dyn Sink) {
    let missing = class.required.iter().find(|(_, group)| {
        !group.iter().any(|i| view.fills(&class.targets[usize::from(*i)], alsos))
    });
    let Some((name, _)) = missing else {
        return sink.row(&EventRow { class, view, alsos, sub, marks });
    };
    let reason = format!("`{}` requires `{name}`, and no rule found a value", class.class.name);
    let marks = if marks.is_empty() { MARK_REJECT.to_owned() } else { format!("{marks},{MARK_REJECT}") };
    let time_micros = time(class, view, alsos);
    sink.base(&BaseRow { sub, marks: &marks, time_micros, reject: Some((None, reason)) });
}

/// What the class's rule for `time` gives, epoch microseconds.
pub(crate) fn time(class: &ClassPlan, view: View<'_>, alsos: u64) -> Option<i64> {
    let target = class.targets.iter().find(|t| &*t.text == "time")?;
    match view.target(target, alsos) {
        Ok(Some(Given::Value(Val::Time(micros)))) => Some(micros),
        Ok(Some(Given::Value(other))) => other.int().and_then(|ms| ms.checked_mul(1000)),
        _ => None,
    }
}

/// How many array levels a path lies below the elements of a list; [`NOT_BELOW`] if it does not.
fn levels_below(path: &str, of: &str) -> u8 {
    match path.strip_prefix(of) {
        Some(rest) if rest.is_empty() || rest.starts_with(['.', '[']) => rest.matches("[]").count() as u8,
        _ => NOT_BELOW,
    }
}

/// The path of the outermost list of `each`, up to its `[]`.
fn outermost(each: &Each) -> &str {
    each.of.split_once("[]").map_or(&each.of, |(head, _)| &each.of[..head.len() + 2])
}

/// Which slots share the outermost list of the class's `each`.
fn scoped(class: &ClassPlan, paths: &[Box<str>]) -> Vec<bool> {
    let list = class.each.as_ref().map(outermost);
    paths.iter().map(|path| list.is_some_and(|list| path.starts_with(list))).collect()
}
