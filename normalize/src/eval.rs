//! Evaluates the rules of a plan on one scanned event.

use std::borrow::Cow;

use crate::plan::{
    Alternative, Candidate, ClassPlan, Constant, Expr, Found, Operand, Rule, Selector, Target, Test,
};
use crate::scan::{Kind, Leaf, PathTable, Scanned, unescape};
use crate::schema::Attribute;
use crate::value::{Fault, Val};

/// Where a wanted path's value is in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub start: u32,
    pub end: u32,
    pub kind: Kind,
}

impl From<&Leaf> for Place {
    fn from(leaf: &Leaf) -> Self {
        Self { start: leaf.start, end: leaf.end, kind: leaf.kind }
    }
}

impl Place {
    /// The value there; nulls, empty containers and empty strings are absent.
    #[inline]
    pub(crate) fn value(self, text: &str) -> Option<Val<'_>> {
        let span = || text.get(self.start as usize..self.end as usize);
        match self.kind {
            Kind::Text => span().filter(|t| !t.is_empty()).map(|t| Val::Text(Cow::Borrowed(t))),
            Kind::Escaped => span().map(|t| Val::Text(Cow::Owned(unescape(t)))),
            Kind::Number => span().map(Val::Number),
            Kind::True => Some(Val::Bool(true)),
            Kind::False => Some(Val::Bool(false)),
            Kind::Null | Kind::EmptyObject | Kind::EmptyArray => None,
        }
    }
}

/// Values of the plan's slots in one event; reused from event to event.
#[derive(Debug, Default)]
pub(crate) struct SlotValues {
    pub first: Vec<Option<Place>>,
    /// For paths through arrays: every value with the array element it is in, ascending.
    pub multi: Vec<Vec<(u32, Place)>>,
}

impl SlotValues {
    pub(crate) fn reset(&mut self, slots: usize) {
        self.first.clear();
        self.first.resize(slots, None);
        self.multi.resize_with(slots, Vec::new);
    }

    /// Whether the slot has a value, in the element if it is one of a list.
    pub(crate) fn holds(&self, slot: u16, element: u32) -> bool {
        let all = self.all(slot);
        self.first[usize::from(slot)].is_some()
            && (all.is_empty() || all.last().is_some_and(|(e, _)| *e == element))
    }

    pub(crate) fn set(&mut self, slot: u16, multi: bool, leaf: &Leaf) {
        let slot = usize::from(slot);
        if !multi {
            // Of a key that occurs twice, the last value counts.
            self.first[slot] = Some(leaf.into());
            return;
        }
        let values = &mut self.multi[slot];
        if self.first[slot].is_none() {
            values.clear();
            self.first[slot] = Some(leaf.into());
        }
        values.push((leaf.element, leaf.into()));
    }

    /// Every value of a path through arrays.
    pub(crate) fn all(&self, slot: u16) -> &[(u32, Place)] {
        if self.first[usize::from(slot)].is_some() { &self.multi[usize::from(slot)] } else { &[] }
    }
}

/// The element that a row of `each` stands for.
#[derive(Debug)]
pub(crate) struct Row<'e> {
    pub element: u32,
    pub place: Option<Place>,
    /// Fields of the split element.
    pub fields: Vec<&'e str>,
    /// The outermost list of `each`.
    pub list: &'e str,
    /// For each slot, whether its path passes that list.
    pub scoped: &'e [bool],
}

/// One scanned event, as the rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'e> {
    pub text: &'e str,
    pub scanned: &'e Scanned,
    pub paths: &'e PathTable,
    pub slots: &'e SlotValues,
    pub row: Option<&'e Row<'e>>,
}

/// What a rule gave.
#[derive(Debug)]
pub(crate) enum Given<'p, 'e> {
    Constant(&'p Constant),
    Value(Val<'e>),
}

impl<'e> View<'e> {
    fn ancestor(&self, above: u32, mut element: u32) -> bool {
        while element > above {
            element = self.scanned.elements[element as usize];
        }
        element == above
    }

    /// The value of a slot, for the row in hand.
    #[inline]
    pub(crate) fn slot(&self, slot: u16) -> Option<Place> {
        let first = self.slots.first[usize::from(slot)]?;
        match self.row.filter(|r| r.scoped[usize::from(slot)]) {
            None => Some(first),
            Some(row) => self.slot_of_row(slot, row),
        }
    }

    fn slot_of_row(&self, slot: u16, row: &Row<'_>) -> Option<Place> {
        let all = self.slots.all(slot);
        // In the element itself or below it, else in one that holds it.
        let from = all.partition_point(|(element, _)| *element < row.element);
        if let Some((element, place)) = all.get(from)
            && self.ancestor(row.element, *element)
        {
            return Some(*place);
        }
        let mut element = row.element;
        while element != 0 {
            element = self.scanned.elements[element as usize];
            if let Ok(at) = all.binary_search_by_key(&element, |(e, _)| *e) {
                return Some(all[at].1);
            }
        }
        None
    }

    /// The places of `key` and `value` in the first list element whose `key` is `equals`.
    pub(crate) fn pick(&self, key: u16, equals: &str, value: u16) -> Option<(Place, Place)> {
        let row = self.row.filter(|r| r.scoped[usize::from(key)]);
        let mut named = self.slots.all(key).iter().filter(|(element, place)| {
            row.is_none_or(|r| self.ancestor(r.element, *element))
                && place.value(self.text).is_some_and(|v| v.text() == equals)
        });
        named.find_map(|(element, at)| {
            let all = self.slots.all(value);
            let (below, place) = all.get(all.partition_point(|(e, _)| e < element))?;
            self.ancestor(*element, *below).then_some((*at, *place))
        })
    }

    /// The value of an operand: of a slot, mostly.
    #[inline]
    pub(crate) fn operand(&self, operand: &'e Operand) -> Option<Val<'e>> {
        if let Operand::Slot(slot) = operand {
            self.slot(*slot)?.value(self.text)
        } else {
            self.composed(operand)
        }
    }

    fn composed(&self, operand: &'e Operand) -> Option<Val<'e>> {
        match operand {
            Operand::Slot(_) | Operand::Tree(_) => None,
            Operand::Pick { key, equals, value } => self.pick(*key, equals, *value)?.1.value(self.text),
            Operand::Element => self.row?.place?.value(self.text),
            Operand::Field(n) => self
                .row?
                .fields
                .get(usize::from(*n))
                .filter(|t| !t.is_empty())
                .map(|t| Val::Text(Cow::Borrowed(t))),
            Operand::Literal(text) => Some(Val::Text(Cow::Borrowed(text))),
            Operand::Join(parts) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(&self.operand(part)?.text());
                }
                Some(Val::Text(Cow::Owned(text)))
            }
        }
    }

    /// Whether an operand is certainly absent.
    fn lacks(&self, operand: &Operand) -> bool {
        matches!(operand, Operand::Slot(slot) if self.slots.first[usize::from(*slot)].is_none())
    }

    /// Whether an alternative has a value.
    pub(crate) fn gives(&self, alternative: &'e Alternative) -> bool {
        self.operand(&alternative.operand)
            .is_some_and(|value| matches!(through(value, &alternative.functions), Ok(Some(_))))
    }

    /// Whether a leaf concerns the row in hand: of the list that rows are made from, only the row's
    /// own element, what holds it and what it holds.
    pub(crate) fn in_row(&self, leaf: &Leaf) -> bool {
        let Some(row) = self.row else { return true };
        let list = self.paths.text(leaf.path);
        !list.starts_with(row.list)
            || self.ancestor(row.element, leaf.element)
            || leaf.element != 0 && self.ancestor(leaf.element, row.element)
    }

    /// Whether a leaf is the name of the template that a text fits, which is no part of the event.
    pub(crate) fn is_template(&self, leaf: &Leaf) -> bool {
        leaf.start >= self.scanned.len && self.paths.text(leaf.path) == crate::views::PATTERN
    }

    /// The first alternative that has a value.
    pub(crate) fn expr(&self, expr: &'e Expr) -> Result<Option<Val<'e>>, Fault> {
        let mut fault = None;
        for alternative in &expr.alternatives {
            let Some(value) = self.operand(&alternative.operand) else { continue };
            if alternative.functions.is_empty() {
                return Ok(Some(value));
            }
            match through(value, &alternative.functions) {
                Ok(Some(value)) => return Ok(Some(value)),
                Ok(None) => {}
                Err(what) => fault = Some(what),
            }
        }
        fault.map_or(Ok(None), Err)
    }

    /// Every value of an expression whose first alternative with values is a path through arrays:
    /// the array element each is in, and the value. Other expressions give at most one.
    pub(crate) fn all(&self, expr: &'e Expr) -> Result<Vec<(u32, Val<'e>)>, Fault> {
        for alternative in &expr.alternatives {
            let Operand::Slot(slot) = alternative.operand else { break };
            if self.row.is_some_and(|r| r.scoped[usize::from(slot)]) {
                break;
            }
            let mut values = Vec::new();
            for (element, place) in self.slots.all(slot) {
                if let Some(value) = place.value(self.text)
                    && let Some(value) = through(value, &alternative.functions)?
                {
                    values.push((*element, value));
                }
            }
            if !values.is_empty() {
                return Ok(values);
            }
        }
        Ok(self.expr(expr)?.map(|v| (0, v)).into_iter().collect())
    }

    /// What a selector's expression is, among the values that conditions name.
    pub(crate) fn select(&self, selector: &'e Selector) -> Found {
        match self.expr(&selector.expr) {
            Ok(Some(value)) => {
                let text = value.text();
                let known = selector.values.get(text.as_ref()).copied();
                let fitting = || selector.globs.iter().find(|(glob, _)| glob.fits(&text)).map(|(_, id)| *id);
                known.or_else(fitting).map_or(Found::Other, Found::Known)
            }
            Ok(None) | Err(_) => Found::Absent,
        }
    }

    /// What the target's rules give; later rules were put first.
    pub(crate) fn target(&self, target: &'e Target, alsos: u64) -> Result<Option<Given<'e, 'e>>, Fault> {
        let mut fault = None;
        for Candidate { also, rule } in &target.candidates {
            if also.is_some_and(|n| alsos >> n & 1 == 0) {
                continue;
            }
            match self.rule(rule) {
                Ok(Some(given)) => return Ok(Some(given)),
                Ok(None) => {}
                Err(what) => fault = Some(what),
            }
        }
        fault.map_or(Ok(None), Err)
    }

    /// Whether a target may have a value, by which of its slots have one.
    pub(crate) fn may_fill(&self, target: &Target) -> bool {
        let has = |expr: &Expr| expr.alternatives.iter().any(|one| !self.lacks(&one.operand));
        target.candidates.iter().any(|candidate| match &candidate.rule {
            Rule::Constant(_) | Rule::Lookup { absent: Some(_), .. } => true,
            Rule::Expr(expr) | Rule::Lookup { expr, .. } => has(expr),
        })
    }

    /// Whether some rule of the target gives a value. Earlier rules are the simpler ones.
    pub(crate) fn fills(&self, target: &'e Target, alsos: u64) -> bool {
        let holds = |c: &&Candidate| c.also.is_none_or(|n| alsos >> n & 1 == 1);
        target.candidates.iter().rev().filter(holds).any(|c| matches!(self.rule(&c.rule), Ok(Some(_))))
    }

    fn rule(&self, rule: &'e Rule) -> Result<Option<Given<'e, 'e>>, Fault> {
        match rule {
            Rule::Constant(constant) => Ok(Some(Given::Constant(constant))),
            Rule::Expr(expr) => Ok(self.expr(expr)?.map(Given::Value)),
            Rule::Lookup { expr, table, otherwise, absent } => Ok(match self.expr(expr)? {
                Some(value) => table.get(value.text().as_ref()).or(otherwise.as_ref()),
                None => absent.as_ref(),
            }
            .map(Given::Constant)),
        }
    }
}

/// The conditions of one event, or of one of its rows; each selector is evaluated at most once.
pub(crate) struct Conditions<'e, 'f> {
    view: View<'e>,
    selectors: &'e [Selector],
    found: &'f mut Vec<Option<Found>>,
}

impl<'e, 'f> Conditions<'e, 'f> {
    /// Those of a view; `found` is a buffer.
    pub(crate) fn new(view: View<'e>, selectors: &'e [Selector], found: &'f mut Vec<Option<Found>>) -> Self {
        found.clear();
        found.resize(selectors.len(), None);
        Self { view, selectors, found }
    }

    /// Whether all of these hold.
    pub(crate) fn hold(&mut self, tests: &[Test]) -> bool {
        tests.iter().all(|test| {
            let at = usize::from(test.selector);
            let found = self.found[at].get_or_insert_with(|| self.view.select(&self.selectors[at]));
            test.accepts(*found)
        })
    }

    /// The entries of `also` that hold, as bits.
    pub(crate) fn alsos(&mut self, class: &ClassPlan) -> u64 {
        class.alsos.iter().enumerate().fold(0, |bits, (n, tests)| bits | u64::from(self.hold(tests)) << n)
    }
}

fn through<'e>(
    mut value: Val<'e>,
    functions: &[&'static crate::functions::Function],
) -> Result<Option<Val<'e>>, Fault> {
    for f in functions {
        match (f.apply)(value)? {
            Some(next) => value = next,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// The id and caption that a value is in an enumeration; what it does not know is Other (99) with
/// the source's own word as caption.
pub(crate) fn enumerate<'e>(id: &'static Attribute, value: Val<'e>) -> (i64, Cow<'e, str>) {
    let Some(enumeration) = &id.enumeration else { return (99, value.into_text()) };
    if let Some(n) = value.int()
        && let Some(caption) = enumeration.get_by_value(n)
    {
        return (n, Cow::Borrowed(caption));
    }
    let text = value.into_text();
    if let Some(n) = enumeration.get_by_caption(&text) {
        return (n, text);
    }
    if enumeration.get_by_value(99).is_some() { (99, text) } else { (0, Cow::Borrowed("Unknown")) }
}
