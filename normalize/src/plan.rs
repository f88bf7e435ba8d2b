//! A compiled mapping: immutable, with every name resolved to a number.

use std::{
    ops::Deref,
    sync::{Arc, LazyLock},
};

use rustc_hash::FxHashMap;

use crate::{
    catalog::{same, under},
    envelope::Carry,
    functions::Function,
    glob::Glob,
    schema::{Attribute, Class},
    views::{Open, columns::Columns},
};

/// Most `also` entries of one class; their outcomes ride in one word.
pub const ALSO_MAX: usize = 64;

/// Most entries of `has` and of `values` in `recognise`; an event's answers ride in one word.
pub(crate) const HAS_MAX: usize = 48;
/// See [`HAS_MAX`].
pub(crate) const VALUES_MAX: usize = 15;

/// A source: how its events are found and, when they are, what becomes of them.
///
/// The rules are made when they are first asked for: of all the sources that a build knows, a
/// deployment meets a few.
#[derive(Debug)]
pub struct Plan {
    /// `vendor.product`.
    pub name: Arc<str>,
    /// What a person calls it.
    pub title: String,
    /// zstd level of its archive blocks.
    pub archive_level: i32,
    /// Parts of the delivered key; each that occurs makes the source more likely.
    pub path: Vec<String>,
    /// How an object of it is recognised: by one of these.
    pub recognise: Vec<Recognise>,
    /// How events are found in a unit.
    pub framing: Framing,
    /// Keys are compared without ASCII case.
    pub(crate) any_case: bool,
    pub(crate) rules: LazyLock<Rules, MakeRules>,
}

/// Makes a source's rules.
pub(crate) type MakeRules = Box<dyn FnOnce() -> Rules + Send>;

impl Deref for Plan {
    type Target = Rules;

    fn deref(&self) -> &Rules {
        &self.rules
    }
}

/// What becomes of the events of a source.
#[derive(Debug)]
pub struct Rules {
    /// Classes in order; the first whose conditions hold is taken, the last has none.
    pub classes: Vec<ClassPlan>,
    /// Prefixes of paths: what an event has below the second is what rules name below the first.
    pub(crate) aliases: Vec<(Box<str>, Box<str>)>,
    /// Words that stand for no value.
    pub(crate) null: Vec<String>,
    /// Paths whose values are events of other sources.
    pub(crate) carries: Vec<Carry>,
    /// Paths whose text is opened.
    pub(crate) opens: Vec<Open>,
    pub(crate) slots: Slots,
    pub(crate) selectors: Vec<Selector>,
}

/// What tells an object of this source from others.
#[derive(Debug, Default)]
pub struct Recognise {
    /// Texts of which a line must fit one.
    pub text: Vec<Glob>,
    /// Paths that the first event must have.
    pub has: Vec<String>,
    /// Paths of which the first event must have one.
    pub any: Vec<String>,
    /// Values that the first event must have at a path (ASCII case is ignored, one `*` stands for
    /// any text).
    pub values: Vec<(String, Vec<String>)>,
}

impl Recognise {
    /// Whether a line, alone, may be of the source: one that says nothing of its lines takes all.
    pub(crate) fn fits_line(&self, line: &str) -> bool {
        self.text.is_empty() || self.text.iter().any(|text| text.fits(line))
    }
}

/// How events are found in a unit.
#[derive(Debug)]
pub enum Framing {
    /// JSON in any layout; `arrays` are keys of envelopes whose array holds the events.
    Json {
        /// Envelope keys beside `Records` and `records`.
        arrays: Vec<String>,
    },
    /// One event a line.
    Lines(Box<LineFraming>),
}

/// How a line is an event.
#[derive(Debug, Default)]
pub struct LineFraming {
    /// How its values are separated and named; without names the whole line is `message`.
    pub columns: Columns,
    /// Where a header names the values.
    pub header: Header,
    /// Names of a header line; a first line of mostly these is a header.
    pub known: Vec<String>,
    /// What the first line of an event looks like; other lines belong to the event before them.
    pub begins: Vec<Glob>,
    /// Name of the XML elements that events are, wherever in a line they begin.
    pub element: Option<String>,
    /// What a line looks like that belongs to the event before it.
    pub continues: Vec<Glob>,
    /// The source comes as JSON as well, with these keys of envelopes.
    pub json: Option<Vec<String>>,
}

/// Where a text names its values.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// Nowhere.
    #[default]
    None,
    /// In the first line, if it has mostly known names.
    First,
    /// In lines that begin like this; other lines that begin with `#` are no events either.
    Directive(String),
}

impl Default for Framing {
    fn default() -> Self {
        Self::Json { arrays: Vec::new() }
    }
}

impl Framing {
    /// Whether objects of the source may be JSON.
    pub fn takes_json(&self) -> bool {
        match self {
            Self::Json { .. } => true,
            Self::Lines(lines) => lines.json.is_some(),
        }
    }

    /// Keys of envelopes whose array holds the source's JSON events.
    pub fn arrays(&self) -> &[String] {
        match self {
            Self::Json { arrays } => arrays,
            Self::Lines(lines) => lines.json.as_deref().unwrap_or_default(),
        }
    }
}

/// Paths that the plan wants, by canonical text.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    pub by_path: FxHashMap<Box<str>, u16>,
    /// Whether the path passes an array: then every element's value is kept.
    pub multi: Vec<bool>,
    pub paths: Vec<Box<str>>,
    /// Paths in lower case, for plans that compare keys without case.
    pub folded: FxHashMap<Box<str>, u16>,
}

impl Plan {
    /// The slot of an event's path, and whether it has it by an alias only.
    pub(crate) fn slot(&self, path: &str) -> Option<(u16, bool)> {
        if let Some(slot) = self.slots.of(path, self.any_case) {
            return Some((slot, false));
        }
        self.aliases.iter().find_map(|(to, from)| {
            let other = renamed(path, from, to, self.any_case)?;
            self.slots.of(&other, self.any_case).map(|slot| (slot, true))
        })
    }
}

/// A path at or below `from` as one at or below `to`.
pub(crate) fn renamed(path: &str, from: &str, to: &str, any_case: bool) -> Option<String> {
    let head = path.get(..from.len())?;
    if head != from && !(any_case && head.eq_ignore_ascii_case(from)) {
        return None;
    }
    let mut rest = &path[from.len()..];
    if rest.is_empty() {
        return (!from.is_empty() && !to.is_empty()).then(|| to.to_owned());
    }
    if !from.is_empty() && !rest.starts_with(['.', '[']) {
        return None;
    }
    if to.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        return Some(rest.to_owned());
    }
    let dot = if rest.starts_with(['.', '[']) { "" } else { "." };
    Some(format!("{to}{dot}{rest}"))
}

impl Plan {
    /// Whether the mapping names a path of its events, or one around it whose whole value it takes.
    pub fn knows(&self, path: &str) -> bool {
        let named = |known: &str| under(path, known, self.any_case);
        self.slot(path).is_some()
            || self.carries.iter().any(|carry| named(&carry.path))
            || self.opens.iter().any(|open| same(path, &open.path, self.any_case))
            || self
                .recognise
                .iter()
                .any(|r| r.has.iter().chain(&r.any).any(|known| same(path, known, self.any_case)))
            || self.trees().any(named)
    }

    /// Paths whose whole values some target takes.
    fn trees(&self) -> impl Iterator<Item = &str> {
        let targets = self.classes.iter().flat_map(|class| &class.targets);
        let rules = targets.flat_map(|target| &target.candidates).map(|candidate| &candidate.rule);
        let exprs = rules.filter_map(|rule| if let Rule::Expr(expr) = rule { Some(expr) } else { None });
        exprs.flat_map(|expr| &expr.alternatives).filter_map(|alternative| match &alternative.operand {
            Operand::Tree(path) => Some(&**path),
            _ => None,
        })
    }
}

impl Slots {
    fn of(&self, path: &str, any_case: bool) -> Option<u16> {
        let exact = self.by_path.get(path).copied();
        let folded = || self.folded.get(path.to_ascii_lowercase().as_str()).copied();
        exact.or_else(|| if any_case { folded() } else { None })
    }

    /// Prepares look-ups without case.
    pub(crate) fn fold(&mut self) {
        self.folded = self.by_path.iter().map(|(p, n)| (p.to_ascii_lowercase().into(), *n)).collect();
    }

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
    /// Values with a star, the most particular first.
    pub globs: Vec<(Glob, u16)>,
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
    pub(crate) fn accepts(&self, found: Found) -> bool {
        match found {
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
    /// Its events are OCSF already: documents are the events themselves.
    pub native: bool,
    /// Marks every row, for example `heartbeat`.
    pub mark: Option<String>,
    pub(crate) when: Vec<Test>,
    pub(crate) each: Option<Each>,
    pub(crate) alsos: Vec<Vec<Test>>,
    pub(crate) targets: Vec<Target>,
    /// Targets that fill linchpin columns.
    pub(crate) with_columns: Arc<[u16]>,
    /// Groups of targets of which one must have a value, with the attribute's name.
    pub(crate) required: Vec<(&'static str, Vec<u16>)>,
}

impl ClassPlan {
    /// Names of the linchpin columns that the mapping may fill, beside those that every row has.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        let filled = self.targets.iter().flat_map(|target| [target.column, target.caption_column]);
        filled.flatten().filter_map(|at| crate::columns::COLUMNS.get(usize::from(at))).map(|c| c.name)
    }
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
    /// Texts one after the other; nothing if one of them is missing.
    Join(Vec<Operand>),
}
