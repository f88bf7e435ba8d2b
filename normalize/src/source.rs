//! The working state of one source in one normaliser: its scanner, and its paths resolved to slots.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::catalog::{Catalog, fits, same, under};
use crate::envelope::{Around, Borrowed, Carried};
use crate::eval::{Conditions, Given, Place, Row, SlotValues, View};
use crate::event::{
    BaseRow, EventFacts, EventRow, MARK_DUPLICATE, MARK_HEARTBEAT, MARK_OVERSIZE, MARK_REJECT, MARK_UTF8,
    Sink, reason,
};
use crate::inventory::Inventory;
use crate::lines::Lines;
use crate::plan::{ClassPlan, Each, Found, Framing, Plan, Recognise};
use crate::scan::{Kind, PathId, PathTable, Scanned, Scanner};
use crate::unit::{EVENT_BYTES_MAX, SUB_BITS};
use crate::value::Val;
use crate::views::{Views, columns::Cell};
use crate::watch::Watch;

/// Bits of the conditions of `recognise`: one for `any`, then those of `values`, then of `has`.
const ANY: u64 = 1;
const VALUE: u64 = 1 << 1;
const HAS: u64 = 1 << 16;

/// Most structures of which is known what they fill.
const FILLING_MAX: usize = 1 << 15;

const NO_SLOT: u16 = u16::MAX;
const NOT_BELOW: u8 = u8::MAX;

/// A source's scanner and resolved paths.
pub(crate) struct SourceState {
    plan: Arc<Plan>,
    pub scanner: Scanner,
    /// For each path, its slot.
    slot_of: Vec<u16>,
    /// For each path, whether it has its slot by an alias only.
    aliased: Vec<bool>,
    slots: SlotValues,
    found: Vec<Option<Found>>,
    /// For each class with `each`: how far below its elements a path is, in array levels.
    below: Vec<Vec<u8>>,
    /// For each class with `each`: the slots whose paths pass its list.
    scoped: Vec<Vec<bool>>,
    /// For each way to recognise the source: for each path, what it means to it.
    signs: Vec<Vec<Sign>>,
    views: Option<Views>,
    lines: Option<Arc<Lines>>,
    cells: Vec<Cell>,
    carried: Carried,
    borrowed: Borrowed,
    /// For a structure and a class: the targets that may fill columns.
    filling: FxHashMap<(u64, u16), Arc<[u16]>>,
    /// Looks at every event, if somebody asked for it.
    watch: Option<Box<Watch>>,
}

/// The states of a catalogue's sources, each made when it is first needed.
pub(crate) struct States {
    list: Vec<Option<Box<SourceState>>>,
    watching: bool,
}

impl States {
    /// Room for so many sources.
    pub(crate) fn new(sources: usize) -> Self {
        Self { list: (0..sources).map(|_| None).collect(), watching: false }
    }

    /// As [`States::new`]; every source makes an inventory of its events.
    pub(crate) fn watching(sources: usize) -> Self {
        Self { watching: true, ..Self::new(sources) }
    }

    pub(crate) fn get(&mut self, catalog: &Catalog, source: usize) -> &mut SourceState {
        let watching = self.watching;
        self.list[source].get_or_insert_with(|| {
            let mut state = SourceState::new(Arc::clone(&catalog.plans()[source]));
            state.watch = watching.then(Box::default);
            Box::new(state)
        })
    }

    /// What the events of each source looked like since the last call.
    pub(crate) fn seen(&mut self) -> impl Iterator<Item = (usize, Inventory)> {
        self.list.iter_mut().enumerate().filter_map(|(source, state)| {
            let SourceState { watch, scanner, .. } = &mut **state.as_mut()?;
            Some((source, watch.as_mut()?.take(&scanner.paths)?))
        })
    }
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
            signs: plan.recognise.iter().map(|_| Vec::new()).collect(),
            views: (!plan.opens.is_empty()).then(|| Views::new(Arc::clone(&plan))),
            lines: None,
            cells: Vec::new(),
            carried: Carried::default(),
            borrowed: Borrowed::default(),
            filling: FxHashMap::default(),
            watch: None,
            plan,
            scanner: Scanner::default(),
            slot_of: Vec::new(),
            aliased: Vec::new(),
            slots: SlotValues::default(),
            found: Vec::new(),
        }
    }

    /// Whether an event meets the source's conditions of content. Streams mix sources: a unit's
    /// first event does not speak for all.
    pub(crate) fn recognises(&mut self, text: &str, scanned: &Scanned) -> bool {
        for (from, signs) in self.plan.recognise.iter().zip(&mut self.signs) {
            for path in signs.len()..self.scanner.paths.len() {
                let text = self.scanner.paths.text(PathId(path as u32));
                signs.push(sign(from, &text, self.plan.any_case));
            }
        }
        let mut ways = self.plan.recognise.iter().zip(&self.signs);
        ways.any(|(from, signs)| meets(from, signs, text, scanned))
    }

    /// How a line that is in a unit of another source is read.
    pub(crate) fn lines(&mut self) -> Option<Arc<Lines>> {
        if !matches!(self.plan.framing, Framing::Lines(_)) {
            return None;
        }
        let (plan, paths) = (&self.plan, &mut self.scanner.paths);
        Some(Arc::clone(self.lines.get_or_insert_with(|| Arc::new(Lines::new(plan, "", paths)))))
    }
    /// Makes one event ready for its rules: its text, and whether that had to be repaired. A JSON
    /// event is in `scanned`; a line is read here as `lines` says. What cannot be read goes to `sink`.
    pub(crate) fn prepare<'b>(
        &mut self,
        facts: &EventFacts<'b>,
        lines: Option<&Lines>,
        around: Option<&Around<'_>>,
        scanned: &mut Scanned,
        sink: &mut dyn Sink,
    ) -> Option<(Cow<'b, str>, bool)> {
        if let Some(broken) = facts.broken {
            let reject = Some(reason(broken));
            sink.base(&BaseRow { sub: 0, marks: MARK_REJECT, time_micros: None, reject });
            return None;
        }
        if facts.bytes.len() > EVENT_BYTES_MAX {
            sink.base(&BaseRow { sub: 0, marks: MARK_OVERSIZE, time_micros: None, reject: None });
            return None;
        }
        let mut text = facts.text.map_or_else(|| String::from_utf8_lossy(facts.bytes), Cow::Borrowed);
        let lossy = matches!(text, Cow::Owned(_));
        let mut decoded = String::new();
        match lines {
            Some(lines) => lines.read(&text, &mut self.scanner, &mut self.cells, scanned, &mut decoded),
            // Replacement characters move what follows them: spans must be those of the text.
            None if lossy => {
                if let Err(error) = self.scanner.json(text.as_bytes(), scanned) {
                    let reject = Some(reason(error));
                    sink.base(&BaseRow { sub: 0, marks: MARK_REJECT, time_micros: None, reject });
                    return None;
                }
            }
            None => {}
        }
        match &mut self.views {
            Some(views) => {
                views.open(&mut text, decoded, scanned, &mut self.scanner.paths, facts.received_ms);
            }
            None if !decoded.is_empty() => text.to_mut().push_str(&decoded),
            None => {}
        }
        if let Some(around) = around {
            around.add(&mut text, scanned, &mut self.scanner.paths, &mut self.borrowed);
        }
        if !self.plan.null.is_empty() {
            void(&self.plan.null, &text, scanned);
        }
        Some((text, lossy))
    }

    /// What the paths of an envelope mean, and the paths.
    pub(crate) fn carried(&mut self) -> (&mut Carried, &PathTable) {
        (&mut self.carried, &self.scanner.paths)
    }

    /// Gives the rows of an event to `sink`.
    pub(crate) fn rows(&mut self, text: &str, scanned: &Scanned, lossy: bool, sink: &mut dyn Sink) {
        self.fill(scanned);
        let mut watch = self.watch.as_mut().filter(|_| sink.is_intake());
        let looks = watch.as_mut().is_some_and(|watch| watch.event(text, scanned, &self.scanner.paths));
        let plan = Arc::clone(&self.plan);
        let view = View { text, scanned, paths: &self.scanner.paths, slots: &self.slots, row: None };
        let mut conditions = Conditions::new(view, &plan.selectors, &mut self.found);
        let Some(index) = plan.classes.iter().position(|c| conditions.hold(&c.when)) else { return };
        let class = &plan.classes[index];
        let alsos = conditions.alsos(class);
        if let Some(watch) = watch.filter(|_| looks) {
            watch.values(&view, class, alsos);
        }
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
        let targets = filling(&mut self.filling, &view, index as u16, class);
        match &class.each {
            None => one((class, &targets), view, alsos, 0, &joined, sink),
            Some(each) => {
                let below = &mut self.below[index];
                for path in below.len()..self.scanner.paths.len() {
                    let text = self.scanner.paths.text(PathId(path as u32));
                    below.push(levels_renamed(&plan, &text, &each.of));
                }
                let scoped = &self.scoped[index];
                let list = List { plan: &plan, class, targets: &targets, each, below, scoped };
                list.rows(view, &joined, &mut self.found, sink);
            }
        }
    }

    /// Puts the event's leaves into the plan's slots.
    fn fill(&mut self, scanned: &Scanned) {
        for path in self.slot_of.len()..self.scanner.paths.len() {
            let text = self.scanner.paths.text(PathId(path as u32));
            let (slot, alias) = self.plan.slot(&text).unwrap_or((NO_SLOT, false));
            self.slot_of.push(slot);
            self.aliased.push(alias);
        }
        self.slots.reset(self.plan.slots.multi.len());
        for leaf in &scanned.leaves {
            let slot = self.slot_of[leaf.path.0 as usize];
            if slot != NO_SLOT {
                // What has the name itself goes before what has it by an alias.
                if self.aliased[leaf.path.0 as usize] && self.slots.holds(slot, leaf.element) {
                    continue;
                }
                self.slots.set(slot, self.plan.slots.multi[usize::from(slot)], leaf);
            }
        }
    }
}

/// Makes nulls of the words that stand for no value.
fn void(null: &[String], text: &str, scanned: &mut Scanned) {
    for leaf in scanned.leaves.iter_mut().filter(|leaf| leaf.kind == Kind::Text) {
        if text.get(leaf.start as usize..leaf.end as usize).is_some_and(|t| null.iter().any(|n| n == t)) {
            leaf.kind = Kind::Null;
        }
    }
}

/// Whether an event meets every condition of one way to recognise a source.
fn meets(from: &Recognise, signs: &[Sign], text: &str, scanned: &Scanned) -> bool {
    let mut met = 0;
    for leaf in &scanned.leaves {
        let sign = signs[leaf.path.0 as usize];
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
    (wanted != 0 || from.text.is_empty()) && met & wanted == wanted
}

fn sign(from: &Recognise, path: &str, any_case: bool) -> Sign {
    let has = from.has.iter().enumerate().filter(|(_, known)| under(path, known, any_case));
    let any = from.any.iter().any(|known| under(path, known, any_case));
    Sign {
        has: has.fold(u64::from(any) * ANY, |bits, (n, _)| bits | HAS << n),
        value: from.values.iter().position(|(known, _)| same(known, path, any_case)).map(|n| n as u8),
    }
}

/// The list that a class makes rows of.
struct List<'a> {
    plan: &'a Plan,
    class: &'a ClassPlan,
    targets: &'a [u16],
    each: &'a Each,
    below: &'a [u8],
    scoped: &'a [bool],
}

impl List<'_> {
    /// A row for every element of the list.
    fn rows(&self, view: View<'_>, marks: &str, found: &mut Vec<Option<Found>>, sink: &mut dyn Sink) {
        let list = outermost(self.each);
        // An aliased object stands for a list of one: its leaves are in no element, which is 0.
        let (mut previous, mut sub) = (u32::MAX, 0);
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
            let alsos = Conditions::new(view, &self.plan.selectors, found).alsos(self.class);
            one((self.class, self.targets), view, alsos, sub, marks, sink);
            sub += 1;
        }
        if sub == 0 {
            let time_micros = time(self.class, view, 0);
            sink.base(&BaseRow { sub: 0, marks: MARK_HEARTBEAT, time_micros, reject: None });
        }
    }
}

/// The targets of a class that may fill columns: by what the event has, for which its structure speaks.
/// An event with leaves that are not its own, opened or of what is around it, has all of them.
fn filling(
    known: &mut FxHashMap<(u64, u16), Arc<[u16]>>,
    view: &View<'_>,
    index: u16,
    class: &ClassPlan,
) -> Arc<[u16]> {
    let scanned = view.scanned;
    let own = scanned.opened.is_empty() && scanned.leaves.last().is_none_or(|leaf| leaf.start < scanned.len);
    let Some(template) = scanned.template.filter(|_| own) else { return Arc::clone(&class.with_columns) };
    if let Some(targets) = known.get(&(template, index)) {
        return Arc::clone(targets);
    }
    let may_fill = |n: &u16| view.may_fill(&class.targets[usize::from(*n)]);
    let targets: Arc<[u16]> = class.with_columns.iter().copied().filter(may_fill).collect();
    if known.len() < FILLING_MAX {
        known.insert((template, index), Arc::clone(&targets));
    }
    targets
}

/// One row, if it has what its class requires.
fn one(
    (class, targets): (&ClassPlan, &[u16]),
    view: View<'_>,
    alsos: u64,
    sub: u32,
    marks: &str,
    sink: &mut dyn Sink,
) {
    let missing = class
        .required
        .iter()
        .find(|(_, group)| !group.iter().any(|i| view.fills(&class.targets[usize::from(*i)], alsos)));
    let Some((name, _)) = missing else {
        return sink.row(&EventRow { class, targets, view, alsos, sub, marks });
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

/// As [`levels_below`], under an alias of the path if it is not below itself.
fn levels_renamed(plan: &Plan, path: &str, of: &str) -> u8 {
    let renamed = |(to, from): &(Box<str>, Box<str>)| crate::plan::renamed(path, from, to, plan.any_case);
    let own = std::iter::once(levels_below(path, of));
    let other = plan.aliases.iter().filter_map(renamed).map(|path| levels_below(&path, of));
    own.chain(other).find(|levels| *levels != NOT_BELOW).unwrap_or(NOT_BELOW)
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
