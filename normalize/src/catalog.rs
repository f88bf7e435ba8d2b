//! The sources this build knows, and how an object's source is recognised.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::sync::Arc;

use linchpin_config::Diagnostics;
use rustc_hash::FxHashMap;

use crate::glob::Glob;
use crate::mapping;
use crate::plan::{Framing, Header, LineFraming, Plan, Recognise};
use crate::scan::{Kind, Leaf, PathTable};
use crate::views::columns::{Cell, Split};

include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// Sources by index; an index never changes its meaning within a catalogue.
#[derive(Debug, Clone)]
pub struct Catalog {
    plans: Vec<Arc<Plan>>,
}

/// Why an object was taken for a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// Index of the source in the catalogue.
    pub source: usize,
    /// Conditions of content that held.
    pub content: usize,
    /// Parts of the path that occurred in the key.
    pub path: Vec<String>,
}

impl Catalog {
    /// Compiles mappings, given as (file name, text).
    pub fn new<'t>(files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<Self, Diagnostics> {
        Self::of(files.into_iter().map(|(file, text)| mapping::compile(file, text)))
    }

    /// The sources that are part of this build.
    pub fn builtin() -> Result<Self, Diagnostics> {
        Self::of(SOURCES.iter().map(|(file, text)| mapping::compile_late(file, text)))
    }

    fn of(compiled: impl Iterator<Item = Result<Plan, Diagnostics>>) -> Result<Self, Diagnostics> {
        let mut plans = Vec::new();
        let mut faults = Vec::new();
        for plan in compiled {
            match plan {
                Ok(plan) => plans.push(Arc::new(plan)),
                Err(Diagnostics(found)) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(Self { plans }) } else { Err(Diagnostics(faults)) }
    }

    /// This catalogue with another source; one of the same name gives way to it.
    #[must_use]
    pub fn with(mut self, plan: impl Into<Arc<Plan>>) -> Self {
        let plan = plan.into();
        match self.index(&plan.name) {
            Some(index) => self.plans[index] = plan,
            None => self.plans.push(plan),
        }
        self
    }

    /// The keys of envelopes that sources name, each list once.
    pub(crate) fn envelopes(&self) -> Vec<&[String]> {
        let mut found: Vec<&[String]> = self.plans.iter().map(|plan| plan.framing.arrays()).collect();
        found.retain(|arrays| !arrays.is_empty());
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Every source.
    pub fn plans(&self) -> &[Arc<Plan>] {
        &self.plans
    }

    /// Finds a source by name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.plans.iter().position(|p| &*p.name == name)
    }

    /// The JSON source that an object with this key and first event is of: all conditions of content
    /// hold, and most of them; the path breaks ties.
    pub(crate) fn of_json(
        &self,
        key: &str,
        text: &str,
        leaves: &[Leaf],
        paths: &PathTable,
        around: Option<Values<'_>>,
    ) -> Option<Recognised> {
        let texts: Vec<String> = leaves.iter().map(|leaf| paths.text(leaf.path)).collect();
        let exact = seen(&texts, leaves, Cow::Borrowed);
        let folded = LazyCell::new(|| seen(&texts, leaves, |path| Cow::Owned(path.to_ascii_lowercase())));
        let find = |path: &str, any_case: bool| {
            if any_case { folded.get(path.to_ascii_lowercase().as_str()) } else { exact.get(path) }
        };
        let has = |path: &str, case| find(path, case).is_some();
        let value = |path: &str, case| {
            if path.starts_with("envelope.") {
                return around.and_then(|value| value(path)).map(Cow::Owned);
            }
            let leaf = (*find(path, case)?)?;
            matches!(leaf.kind, Kind::Text | Kind::Escaped | Kind::Number | Kind::True | Kind::False)
                .then(|| text.get(leaf.start as usize..leaf.end as usize))
                .flatten()
                .map(Cow::Borrowed)
        };
        self.best(key, |plan| plan.framing.takes_json().then_some((&has, &value)))
    }

    /// The text source of a line: what it looks like, or its fields by name and value, must be as a
    /// source says. `around` gives the values of what the line came in, by path.
    pub(crate) fn of_line(&self, key: &str, line: &str, place: Place<'_>) -> Option<Recognised> {
        let mut cells = Cells { line, split: None, found: Vec::new() };
        let candidates = self.plans.iter().enumerate().filter_map(|(source, plan)| {
            let Framing::Lines(lines) = &plan.framing else { return None };
            let rank = |from: &Recognise| rank(lines, from, &mut cells, place);
            let content = plan.recognise.iter().filter_map(rank).max()?;
            Some(Recognised { source, content, path: self.path_parts(source, key) })
        });
        candidates.max_by_key(|r| (r.content, r.path.len(), std::cmp::Reverse(r.source)))
    }

    fn path_parts(&self, source: usize, key: &str) -> Vec<String> {
        let parts = &self.plans[source].path;
        parts.iter().filter(|part| contains_ignore_case(key, part)).cloned().collect()
    }

    fn best<'f, H, V>(&self, key: &str, ask: impl Fn(&Plan) -> Option<(&'f H, &'f V)>) -> Option<Recognised>
    where
        H: Fn(&str, bool) -> bool + 'f,
        V: Fn(&str, bool) -> Option<Cow<'f, str>> + 'f,
    {
        let ranked = self.plans.iter().enumerate().filter_map(|(source, plan)| {
            let (has, value) = ask(plan)?;
            let case = plan.any_case;
            let content = |from: &Recognise| {
                let all = from.has.iter().all(|path| has(path, case))
                    && (from.any.is_empty() || from.any.iter().any(|path| has(path, case)))
                    && from.values.iter().all(|(path, values)| {
                        value(path, case).is_some_and(|v| values.iter().any(|known| fits(known, &v)))
                    });
                let content = from.has.len() + usize::from(!from.any.is_empty()) + 2 * from.values.len();
                (all && content > 0).then_some(content)
            };
            let content = plan.recognise.iter().filter_map(content).max()?;
            Some(Recognised { source, content, path: self.path_parts(source, key) })
        });
        ranked.max_by_key(|r| (r.content, r.path.len(), std::cmp::Reverse(r.source)))
    }
}

/// The paths of an event and those above them; a leaf's path has its first leaf.
fn seen<'l>(
    texts: &'l [String],
    leaves: &'l [Leaf],
    key: impl Fn(&'l str) -> Cow<'l, str>,
) -> FxHashMap<Cow<'l, str>, Option<&'l Leaf>> {
    let mut seen = FxHashMap::<_, Option<&Leaf>>::default();
    for (path, leaf) in texts.iter().zip(leaves) {
        for (end, _) in path.match_indices(['.', '[']) {
            seen.entry(key(&path[..end])).or_default();
        }
        seen.entry(key(path)).or_default().get_or_insert(leaf);
    }
    seen
}

/// Gives the values of an envelope by path.
pub(crate) type Values<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where a line stands.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// At the beginning of a unit: it may be a header.
    First,
    /// Among other lines.
    Among,
    /// In an envelope, which has these values.
    Inside(Values<'a>),
}

/// A line's values by what separates them, for as long as sources agree on that.
struct Cells<'l> {
    line: &'l str,
    split: Option<Split>,
    found: Vec<Cell>,
}

impl Cells<'_> {
    fn by(&mut self, split: Split) -> &[Cell] {
        if self.split != Some(split) {
            split.cells(self.line, &mut self.found);
            self.split = Some(split);
        }
        &self.found
    }
}

/// How well a line meets the conditions of a text source, if it does.
fn rank(lines: &LineFraming, from: &Recognise, cells: &mut Cells<'_>, place: Place<'_>) -> Option<usize> {
    let line = cells.line;
    let text = from.text.iter().filter(|text| text.fits(line)).map(Glob::fixed).max();
    if !from.text.is_empty() && text.is_none() {
        return None;
    }
    if matches!(place, Place::First)
        && let Some(names) = header(lines, line)
    {
        return Some(names);
    }
    if from.values.is_empty() {
        return text.map(|fixed| fixed + 1);
    }
    let around = |path: &str| match place {
        Place::Inside(value) => value(path),
        Place::First | Place::Among => None,
    };
    let columns = &lines.columns;
    let own = |path: &str, cells: &mut Cells<'_>| {
        let cells = cells.by(columns.split);
        let layout = columns.layout(line, cells)?;
        let names = &columns.layouts[layout];
        if text.is_none() && columns.by.is_none() && names.len() != cells.len() {
            return None;
        }
        let cell = cells.get(names.iter().position(|name| name == path)?)?;
        Some(line[cell.start..cell.end].to_owned())
    };
    let all = from.values.iter().all(|(path, values)| {
        let found = if path.starts_with("envelope.") { around(path) } else { own(path, cells) };
        found.is_some_and(|v| values.iter().any(|known| fits(known, &v)))
    });
    all.then_some(text.unwrap_or(0) + 2 * from.values.len())
}

/// How many fields a line names, if it is the header of a source.
fn header(lines: &LineFraming, line: &str) -> Option<usize> {
    let (names, directive) = match &lines.header {
        Header::None => return None,
        Header::First => (line, false),
        Header::Directive(prefix) => (line.strip_prefix(prefix.as_str())?, true),
    };
    let split = if directive { Split::Words } else { lines.columns.split };
    let mut cells = Vec::new();
    split.cells(names, &mut cells);
    let words: Vec<&str> = cells.iter().map(|c| &names[c.start..c.end]).collect();
    let all = || !lines.known.is_empty() && lines.known.iter().all(|name| words.contains(&name.as_str()));
    (is_header(&words, &lines.known) || directive && all()).then_some(words.len() + 1)
}

/// Whether a leaf's path is `path` or lies below it.
pub(crate) fn under(leaf: &str, path: &str, any_case: bool) -> bool {
    let head = leaf.get(..path.len()).filter(|head| same(head, path, any_case));
    head.is_some_and(|head| matches!(leaf.as_bytes().get(head.len()), None | Some(b'.' | b'[')))
}

/// Whether two paths are equal, or but for ASCII case.
pub(crate) fn same(path: &str, other: &str, any_case: bool) -> bool {
    path == other || any_case && path.eq_ignore_ascii_case(other)
}

/// Whether a value is the expected one; a `*` in that stands for any text. ASCII case is ignored.
pub(crate) fn fits(expected: &str, value: &str) -> bool {
    let Some((head, tail)) = expected.split_once('*') else { return expected.eq_ignore_ascii_case(value) };
    let (value, head, tail) = (value.as_bytes(), head.as_bytes(), tail.as_bytes());
    value.len() >= head.len() + tail.len()
        && value[..head.len()].eq_ignore_ascii_case(head)
        && value[value.len() - tail.len()..].eq_ignore_ascii_case(tail)
}

/// Whether a line's words are names of fields, so that it is a header. A few may be unknown: formats
/// grow.
pub(crate) fn is_header(words: &[&str], known: &[String]) -> bool {
    let names = words.iter().filter(|word| known_name(word, known).is_some()).count();
    words.len() > 1 && names * 4 >= words.len() * 3
}

/// The field that a header's word names; `_` may stand for `-`, as in columnar variants of a format.
pub(crate) fn known_name<'k>(word: &str, known: &'k [String]) -> Option<&'k str> {
    known.iter().map(String::as_str).find(|name| *name == word || *name == word.replace('_', "-"))
}

fn contains_ignore_case(text: &str, part: &str) -> bool {
    !part.is_empty() && text.as_bytes().windows(part.len()).any(|w| w.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_a_build_knows_is_without_faults_and_recognised_by_all_it_says() {
        let late = Catalog::builtin().unwrap();
        let early = Catalog::new(SOURCES.iter().copied()).unwrap_or_else(|faults| panic!("{faults}"));
        let shown = |plan: &Plan| {
            let Plan { name, title, archive_level, path, recognise, framing, any_case, rules: _ } = plan;
            format!("{:?}", (name, title, archive_level, path, recognise, framing, any_case))
        };
        for (late, early) in late.plans().iter().zip(early.plans()) {
            assert_eq!(shown(late), shown(early));
            assert_eq!(format!("{:?}", late.classes), format!("{:?}", early.classes));
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (expected, value, holds) in [
            ("/subscriptions/*", "/SUBSCRIPTIONS/0a", true),
            ("/subscriptions/*", "/tenants/0a", false),
            ("projects/*/logs/a", "projects/p/logs/a", true),
            ("ab*bc", "abc", false),
            ("é*", "è", false),
            ("Policy", "policy", true),
        ] {
            assert_eq!(fits(expected, value), holds, "{expected} {value}");
        }
    }
}
