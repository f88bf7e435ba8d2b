//! The sources this build knows, and how an object's source is recognised.

use std::sync::Arc;

use linchpin_config::Diagnostics;

use crate::plan::{Framing, Plan};
use crate::scan::{Kind, Leaf, PathTable};

include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// Sources by index; an index never changes its meaning within a catalogue.
#[derive(Debug)]
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
        let mut plans = Vec::new();
        let mut faults = Vec::new();
        for (file, text) in files {
            match crate::mapping::compile(file, text) {
                Ok(plan) => plans.push(Arc::new(plan)),
                Err(Diagnostics(found)) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(Self { plans }) } else { Err(Diagnostics(faults)) }
    }

    /// The sources that are part of this build.
    pub fn builtin() -> Result<Self, Diagnostics> {
        Self::new(SOURCES.iter().copied())
    }

    /// This catalogue with another source; one of the same name gives way to it.
    #[must_use]
    pub fn with(mut self, plan: Plan) -> Self {
        let plan = Arc::new(plan);
        match self.index(&plan.name) {
            Some(index) => self.plans[index] = plan,
            None => self.plans.push(plan),
        }
        self
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
    ) -> Option<Recognised> {
        let seen: Vec<(String, &Leaf)> = leaves.iter().map(|leaf| (paths.text(leaf.path), leaf)).collect();
        let has = |path: &str| seen.iter().any(|(known, _)| under(known, path));
        let value = |path: &str| {
            let leaf = seen.iter().find(|(known, _)| known == path)?.1;
            matches!(leaf.kind, Kind::Text | Kind::Escaped | Kind::Number | Kind::True | Kind::False)
                .then(|| text.get(leaf.start as usize..leaf.end as usize))
                .flatten()
        };
        self.best(key, |plan| matches!(plan.framing, Framing::Json { .. }).then_some((&has, &value)))
    }

    /// The text source whose fields these are, by name and word.
    pub(crate) fn of_line(&self, key: &str, words: &[&str]) -> Option<Recognised> {
        let candidates = self.plans.iter().enumerate().filter_map(|(source, plan)| {
            let Framing::Lines { header, known, default, .. } = &plan.framing else { return None };
            if *header && is_header(words, known) {
                return Some((source, words.len() + 1));
            }
            let layout = default.iter().find(|layout| layout.len() == words.len());
            let named = |name: &str| words.get(layout?.iter().position(|f| f == name)?).copied();
            let fits = layout.is_some()
                && plan.recognise.values.iter().all(|(path, values)| {
                    named(path).is_some_and(|word| values.iter().any(|v| v.eq_ignore_ascii_case(word)))
                });
            fits.then_some((source, plan.recognise.values.len()))
        });
        let ranked = candidates.map(|(source, content)| Recognised {
            source,
            content,
            path: self.path_parts(source, key),
        });
        ranked.max_by_key(|r| (r.content, r.path.len(), std::cmp::Reverse(r.source)))
    }

    fn path_parts(&self, source: usize, key: &str) -> Vec<String> {
        let parts = &self.plans[source].recognise.path;
        parts.iter().filter(|part| contains_ignore_case(key, part)).cloned().collect()
    }

    fn best<'f, H, V>(&self, key: &str, ask: impl Fn(&Plan) -> Option<(&'f H, &'f V)>) -> Option<Recognised>
    where
        H: Fn(&str) -> bool + 'f,
        V: Fn(&str) -> Option<&'f str> + 'f,
    {
        let ranked = self.plans.iter().enumerate().filter_map(|(source, plan)| {
            let (has, value) = ask(plan)?;
            let from = &plan.recognise;
            let all = from.has.iter().all(|path| has(path))
                && (from.any.is_empty() || from.any.iter().any(|path| has(path)))
                && from.values.iter().all(|(path, values)| {
                    value(path).is_some_and(|v| values.iter().any(|known| fits(known, v)))
                });
            let content = from.has.len() + usize::from(!from.any.is_empty()) + 2 * from.values.len();
            (all && content > 0).then(|| Recognised { source, content, path: self.path_parts(source, key) })
        });
        ranked.max_by_key(|r| (r.content, r.path.len(), std::cmp::Reverse(r.source)))
    }
}

/// Whether a leaf's path is `path` or lies below it.
pub(crate) fn under(leaf: &str, path: &str) -> bool {
    leaf.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
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
    use super::*;

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
