//! Watches the events of one source: fills an [`Inventory`] beside the rows.
//!
//! What an event looks like follows from its structure, which the scan gives as a number. A
//! structure that was seen before costs one look into a table; its first event, its second, fourth and
//! so on, and every [`EVERY`]th are looked at, for kinds that no structure tells apart and for values:
//! sources have thousands of structures, most of them rare. Events without a structure, such as lines, are looked at likewise and when they have a path that is new; every
//! [`EVERY`]th stands for those between.

use rustc_hash::FxHashMap;

use crate::envelope::AROUND;
use crate::eval::{Place, View, enumerate};
use crate::inventory::{Inventory, Seen};
use crate::plan::{ClassPlan, Constant, Rule, Target, TargetLeaf};
use crate::scan::{Kind, Leaf, PathTable, Scanned};
use crate::views::PATTERN;

/// How often an event of a known structure is looked at.
const EVERY: u64 = 64;
/// Most structures that are remembered; others are looked at each time.
const STRUCTURES_MAX: usize = 1 << 15;
/// Most characters of an example.
const EXAMPLE_MAX: usize = 80;
/// Most values of one attribute between two reports.
const VALUES_MAX: usize = 1000;

const UNSEEN: u32 = u32::MAX;
/// A path that is not the event's own.
const FOREIGN: u32 = u32::MAX - 1;
/// Names of the kinds, in the order of [`kind`].
const KINDS: [&str; 3] = ["text", "number", "boolean"];

/// A path and a kind of value.
#[derive(Debug)]
struct Field {
    path: u32,
    kind: usize,
    events: u64,
    example: String,
    /// The look that came by it last.
    look: u64,
}

/// A structure: its fields, and its events since the last report.
#[derive(Debug, Default)]
struct Structure {
    events: u64,
    /// Events since the structure was first met.
    met: u64,
    fields: Box<[u32]>,
}

/// What was seen of one source.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// For each path and kind, its field.
    index: Vec<[u32; KINDS.len()]>,
    fields: Vec<Field>,
    structures: FxHashMap<u64, Structure>,
    /// Events without a structure since the last report, and ever.
    events: u64,
    plain: u64,
    /// Paths known when a field was last looked for.
    paths: usize,
    values: FxHashMap<Box<str>, FxHashMap<String, u64>>,
    /// Fields of the event in hand.
    own: Vec<u32>,
    looks: u64,
}

/// The kind of a value, as a place in [`KINDS`]; what is nothing has none.
fn kind(leaf: &Leaf) -> Option<usize> {
    match leaf.kind {
        Kind::Text | Kind::Escaped => Some(0),
        Kind::Number => Some(1),
        Kind::True | Kind::False => Some(2),
        Kind::Null | Kind::EmptyObject | Kind::EmptyArray => None,
    }
}

impl Watch {
    /// Takes note of an event; true if its values are to be looked at as well.
    pub(crate) fn event(&mut self, text: &str, scanned: &Scanned, paths: &PathTable) -> bool {
        // What was opened has a structure of its own.
        let template = scanned.template.filter(|_| scanned.opened.is_empty());
        if let Some(known) = template.and_then(|template| self.structures.get_mut(&template)) {
            known.events += 1;
            known.met += 1;
            if !(known.met.is_power_of_two() || known.met.is_multiple_of(EVERY)) {
                return false;
            }
            let usual = std::mem::take(&mut known.fields);
            self.look(text, scanned, paths);
            for field in &self.own {
                if !usual.contains(field) {
                    self.fields[*field as usize].events += 1;
                }
            }
            if let Some(known) = template.and_then(|template| self.structures.get_mut(&template)) {
                known.fields = usual;
            }
            return true;
        }
        if let Some(template) = template.filter(|_| self.structures.len() < STRUCTURES_MAX) {
            self.look(text, scanned, paths);
            let fields = self.own.as_slice().into();
            self.structures.insert(template, Structure { events: 1, met: 1, fields });
            return true;
        }
        // Without a structure: when there are new paths, and now and then for those between.
        self.events += 1;
        self.plain += 1;
        let (early, due) = (self.plain <= EVERY, self.plain.is_multiple_of(EVERY));
        let grown = paths.len() > self.paths;
        if early || due || grown {
            self.look(text, scanned, paths);
            let events = if due && !early { EVERY } else { 1 };
            self.own.iter().for_each(|field| self.fields[*field as usize].events += events);
            self.paths = paths.len();
        }
        early || due || grown
    }

    /// Finds the fields of an event, each once.
    fn look(&mut self, text: &str, scanned: &Scanned, paths: &PathTable) {
        self.own.clear();
        self.looks += 1;
        self.index.resize(paths.len().max(self.index.len()), [UNSEEN; KINDS.len()]);
        for leaf in &scanned.leaves {
            let Some(kind) = kind(leaf) else { continue };
            let mut field = self.index[leaf.path.0 as usize][kind];
            if field == UNSEEN {
                field = self.add(leaf, kind, text, scanned, paths);
            }
            if field == FOREIGN {
                continue;
            }
            let known = &mut self.fields[field as usize];
            if std::mem::replace(&mut known.look, self.looks) != self.looks {
                self.own.push(field);
            }
        }
    }

    fn add(&mut self, leaf: &Leaf, kind: usize, text: &str, scanned: &Scanned, paths: &PathTable) -> u32 {
        let steps = paths.steps(leaf.path);
        let foreign = leaf.start >= scanned.len && matches!(steps.first(), Some(Some(AROUND | PATTERN)));
        let field = if foreign { FOREIGN } else { self.fields.len() as u32 };
        if !foreign {
            let value = Place::from(leaf).value(text);
            let example = value.map(|v| v.text().chars().take(EXAMPLE_MAX).collect()).unwrap_or_default();
            self.fields.push(Field { path: leaf.path.0, kind, events: 0, example, look: 0 });
        }
        self.index[leaf.path.0 as usize][kind] = field;
        field
    }

    /// Takes note of the values for which the mapping has no word.
    pub(crate) fn values(&mut self, view: &View<'_>, class: &ClassPlan, alsos: u64) {
        for target in &class.targets {
            if let Some(value) = unknown(view, target, alsos) {
                let known = self.values.entry((*target.text).into()).or_default();
                if known.len() < VALUES_MAX || known.contains_key(&value) {
                    *known.entry(value).or_default() += 1;
                }
            }
        }
    }

    /// What was seen since the last time; nothing if there were no events.
    pub(crate) fn take(&mut self, paths: &PathTable) -> Option<Inventory> {
        for structure in self.structures.values_mut() {
            let events = std::mem::take(&mut structure.events);
            self.events += events;
            structure.fields.iter().for_each(|field| self.fields[*field as usize].events += events);
        }
        let mut found = Inventory { events: std::mem::take(&mut self.events), ..Inventory::default() };
        for field in self.fields.iter_mut().filter(|field| field.events > 0) {
            let seen = Seen { events: std::mem::take(&mut field.events), example: field.example.clone() };
            let path = paths.text(crate::scan::PathId(field.path));
            found.fields.entry(path).or_default().insert(KINDS[field.kind].to_owned(), seen);
        }
        for (attribute, values) in self.values.drain() {
            let seen = |(value, events): (String, u64)| (value.clone(), Seen { events, example: value });
            found.values.insert(attribute.into(), values.into_iter().map(seen).collect());
        }
        (found.events > 0).then_some(found)
    }
}

/// The value of an enumeration's target that the mapping does not know: it became Other or Unknown.
fn unknown(view: &View<'_>, target: &Target, alsos: u64) -> Option<String> {
    let TargetLeaf::Enum { id, .. } = &target.leaf else { return None };
    for candidate in target.candidates.iter().filter(|c| c.also.is_none_or(|n| alsos >> n & 1 == 1)) {
        match &candidate.rule {
            Rule::Constant(_) => return None,
            Rule::Expr(expr) => {
                let Ok(Some(value)) = view.expr(expr) else { continue };
                let text = value.text().into_owned();
                let (n, _) = enumerate(id, value);
                let word = id.enumeration.as_ref().and_then(|known| known.get_by_caption(&text));
                return (matches!(n, 0 | 99) && word.is_none() && text != n.to_string())
                    .then(|| shortened(&text));
            }
            Rule::Lookup { expr, table, otherwise, absent } => match view.expr(expr) {
                Ok(Some(value)) if table.contains_key(value.text().as_ref()) => return None,
                Ok(Some(value)) => match otherwise {
                    Some(Constant::Enum(0 | 99, _)) => return Some(shortened(&value.text())),
                    Some(_) => return None,
                    None => {}
                },
                _ if absent.is_some() => return None,
                _ => {}
            },
        }
    }
    None
}

fn shortened(text: &str) -> String {
    text.chars().take(EXAMPLE_MAX).collect()
}
