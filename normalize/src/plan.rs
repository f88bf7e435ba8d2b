//! A compiled mapping: immutable, with every name resolved to a number.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    functions::Function,
    schema::{Attribute, Class},
};

/// Most `also` entries of one class; their outcomes ride in one word.
pub const ALSO_MAX: usize = 64;

/// Most entries of `has` and of `values` in `recognise`; an event's answers ride in one word.
pub(crate) const HAS_MAX: usize = 48;
/// See [`HAS_MAX`].
pub(crate) const VALUES_MAX: usize = 15;

/// A source: how its events are found and what becomes of them.
#[derive(Debug)]
pub struct Plan {
    /// `vendor.product`.
    pub name: Arc<str>,
    /// What a person calls it.
    pub title: String,
    /// zstd level of its archive blocks.
    pub archive_level: i32,
    /// How an object of it is recognised.
    pub recognise: Recognise,
    /// How events are found in a unit.
    pub framing: Framing,
    /// Classes in order; the first whose conditions hold is taken, the last has none.
    pub classes: Vec<ClassPlan>,
    pub(crate) slots: Slots,
    pub(crate) selectors: Vec<Selector>,
}

/// What tells an object of this source from others.
#[derive(Debug, Default)]
pub struct Recognise {
    /// Parts of the delivered key; each that occurs makes the source more likely.
    pub path: Vec<String>,
    /// Paths that the first event must have.
    pub has: Vec<String>,
    /// Paths of which the first event must have one.
    pub any: Vec<String>,
    /// Values that the first event must have at a path (ASCII case is ignored, one `*` stands for
    /// any text).
    pub values: Vec<(String, Vec<String>)>,
}

/// How events are found in a unit.
#[derive(Debug)]
pub enum Framing {
    /// JSON in any layout; `arrays` are keys of envelopes whose array holds the events.
    Json {
        /// Envelope keys beside `Records` and `records`.
        arrays: Vec<String>,
    },
    /// One event a line, white-space separated words.
    Lines {
        /// The first line may name the fields.
        header: bool,
        /// Names of a header line; a first line of mostly these is a header.
        known: Vec<String>,
        /// Names of the fields when there is no header; of several the first with as many names as
        /// the line has words.
        default: Vec<Vec<String>>,
        /// The word that stands for no value.
        null: String,
    },
}

/// Paths that the plan wants, by canonical text.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    pub by_path: FxHashMap<Box<str>, u16>,
    /// Whether the path passes an array: then every element's value is kept.
    pub multi: Vec<bool>,
    pub paths: Vec<Box<str>>,
}

impl Slots {
    pub(crate) fn add(&mut self, path: &str) -> u16 {
        if let Some(slot) = self.by_path.get(path) {
            return *slot;
        }
        let slot = self.multi.len() as u16;
        self.by_path.insert(path.into(), slot);
        self.multi.push(path.contains("[]"));
        self.paths.push(path.into());
        slot
    }
}

/// An expression of `when`, and the values that some condition names.
#[derive(Debug)]
pub(crate) struct Selector {
    pub expr: Expr,
    pub values: FxHashMap<Box<str>, u16>,
}

/// What a selector found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Absent,
    Other,
    Known(u16),
}

/// A condition on one selector.
#[derive(Debug)]
pub(crate) struct Test {
    pub selector: u16,
    pub absent: bool,
    pub any: bool,
    /// Bit set of accepted values.
    pub values: Vec<u64>,
}

impl Test {
    pub(crate) fn holds(&self, found: &[Found]) -> bool {
        match found[usize::from(self.selector)] {
            Found::Absent => self.absent,
            Found::Other => self.any,
            Found::Known(v) => {
                self.any || self.values.get(usize::from(v) / 64).is_some_and(|w| w >> (v % 64) & 1 == 1)
            }
        }
    }
}

/// What becomes of the events of one class.
#[derive(Debug)]
pub struct ClassPlan {
    /// The OCSF class.
    pub class: &'static Class,
    /// Profiles its events declare.
    pub profiles: Vec<&'static str>,
    /// Marks every row, for example `heartbeat`.
    pub mark: Option<String>,
    pub(crate) when: Vec<Test>,
    pub(crate) each: Option<Each>,
    pub(crate) alsos: Vec<Vec<Test>>,
    pub(crate) targets: Vec<Target>,
    /// Targets that fill linchpin columns.
    pub(crate) with_columns: Vec<u16>,
    /// Groups of targets of which one must have a value, with the attribute's name.
    pub(crate) required: Vec<(&'static str, Vec<u16>)>,
}

/// A row for every element of a list.
#[derive(Debug)]
pub(crate) struct Each {
    /// Canonical path of the elements.
    pub of: String,
    /// What separates the fields of an element that is text.
    pub split: Option<String>,
}

/// One OCSF attribute and the rules that may fill it, the last that applies first.
#[derive(Debug)]
pub(crate) struct Target {
    /// Path as written.
    pub text: Arc<str>,
    pub segments: Vec<Segment>,
    pub leaf: TargetLeaf,
    /// Column of the value (of the id, for an enumeration).
    pub column: Option<u16>,
    /// Column of the caption.
    pub caption_column: Option<u16>,
    pub candidates: Vec<Candidate>,
}

/// A step of a target path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub name: &'static str,
    pub array: bool,
}

/// What stands at the end of a target path.
#[derive(Debug)]
pub(crate) enum TargetLeaf {
    /// A typed attribute.
    Value(&'static Attribute),
    /// An enumeration: the id attribute and its caption's.
    Enum { id: &'static Attribute, caption: &'static Attribute },
    /// Any JSON below a path.
    Tree(&'static Attribute),
}

/// A rule, and the `also` entry it needs.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub also: Option<u8>,
    pub rule: Rule,
}

#[derive(Debug)]
pub(crate) enum Rule {
    Constant(Constant),
    Expr(Expr),
    Lookup {
        expr: Expr,
        table: FxHashMap<Box<str>, Constant>,
        otherwise: Option<Constant>,
        absent: Option<Constant>,
    },
}

/// A constant, converted to its target's type when the mapping was loaded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constant {
    Text(Arc<str>),
    Int(i64),
    Bool(bool),
    Enum(i64, Arc<str>),
}

/// Alternatives, tried in order.
#[derive(Debug)]
pub(crate) struct Expr {
    pub alternatives: Vec<Alternative>,
}

#[derive(Debug)]
pub(crate) struct Alternative {
    pub operand: Operand,
    pub functions: Vec<&'static Function>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operand {
    Slot(u16),
    /// The slot `value` in the list element whose slot `key` is `equals`.
    Pick {
        key: u16,
        equals: Box<str>,
        value: u16,
    },
    /// The element of `each` itself.
    Element,
    /// A field of the element of `each`.
    Field(u16),
    Literal(Arc<str>),
    /// Everything below a path (canonical).
    Tree(Box<str>),
}
