//! What names stand for beside themselves: aliases of paths, values with stars, paths of envelopes.

use linchpin_config::Located;

use super::compile::Compiler;
use super::expr::{canonical_path, path_steps};
use super::file::SourceFile;
use crate::envelope::Carry;
use crate::plan::{Alternative, ClassPlan, Operand, renamed};
use crate::schema::Class;

impl Compiler<'_, '_> {
    /// The profiles that a class declares.
    pub(super) fn profiles(&mut self, class: &Class, names: &[Located<String>]) -> Vec<&'static str> {
        let mut out = Vec::new();
        for name in names {
            if let Some(known) = class.profiles.iter().find(|p| **p == name.value) {
                out.push(*known);
            } else {
                let hint = Some(format!("profiles of `{}`: {}", class.name, class.profiles.join(", ")));
                self.faults.add(
                    name.span,
                    &name.value,
                    format!("`{}` has no profile `{}`", class.name, name.value),
                    hint,
                );
            }
        }
        out
    }

    pub(super) fn carry(&mut self, at: &Located<String>) -> Option<Carry> {
        let Some((path, steps)) = path_steps(&at.value) else {
            self.faults.add(at.span, &at.value, format!("`{}` is not a path", at.value), None);
            return None;
        };
        Some(Carry { path: path.into(), steps })
    }

    /// The pairs of `aliases`: what rules name, and what the event has.
    pub(super) fn prefixes(&mut self, file: &SourceFile) -> Vec<(Box<str>, Box<str>)> {
        let mut pairs = Vec::new();
        let mut path = |text: &Located<String>| {
            let canonical = canonical_path(&text.value).or((text.value.is_empty()).then(String::new));
            if canonical.is_none() {
                self.faults.add(text.span, &text.value, format!("`{}` is not a path", text.value), None);
            }
            canonical
        };
        for (to, others) in &file.aliases {
            let Some(to) = path(to) else { continue };
            for from in others.iter().filter_map(&mut path) {
                pairs.push((to.clone().into(), from.into()));
            }
        }
        pairs
    }

    /// A value is found once: what accepts `a*` accepts every known value that fits it as well.
    pub(super) fn stars(&mut self, classes: &mut [ClassPlan]) {
        for selector in &mut self.selectors {
            selector.globs.sort_by_key(|(glob, _)| std::cmp::Reverse(glob.fixed()));
        }
        let tests = classes.iter_mut().flat_map(|c| c.when.iter_mut().chain(c.alsos.iter_mut().flatten()));
        for test in tests {
            let selector = &self.selectors[usize::from(test.selector)];
            for (glob, id) in &selector.globs {
                if test.values.get(usize::from(*id) / 64).is_none_or(|word| word >> (id % 64) & 1 == 0) {
                    continue;
                }
                for fitting in selector.values.iter().filter(|(text, _)| glob.fits(text)).map(|(_, id)| *id) {
                    let at = usize::from(fitting) / 64;
                    if test.values.len() <= at {
                        test.values.resize(at + 1, 0);
                    }
                    test.values[at] |= 1 << (fitting % 64);
                }
            }
        }
    }

    /// A tree by its aliases: it is found by its path, not by a slot.
    pub(super) fn others(&self, path: &str) -> Vec<Alternative> {
        let renamed = self.aliases.iter().filter_map(|(to, from)| renamed(path, to, from, false));
        let tree = |path: String| Operand::Tree(path.into());
        renamed.map(|path| Alternative { operand: tree(path), functions: Vec::new() }).collect()
    }
}
