//! Mappings: a `source.yml` is read with positions, checked against the OCSF schema and compiled
//! to a [`Plan`](crate::plan::Plan).
//!
//! The language has few words: `when` (sets of equal values), `set` (constants), `map`
//! (`target: path [?? path] [| function]`), lookups, `also`, and `each` (a row for every element of
//! a list). Everything else is a named function of [`crate::functions`]. Every fault is reported
//! with `file:line:col`, the offending text and a hint; a file with faults gives no plan.

mod check;
mod compile;
mod expr;
mod file;
mod formats;
mod names;
mod native;
mod needs;
mod node;
#[cfg(test)]
mod tests;

pub(crate) use native::OLDER;

use linchpin_config::{Diagnostics, SourceText};

use crate::plan::Plan;

/// Reads, checks and compiles a mapping. `file` is the name that diagnostics show.
pub fn compile(file: &str, text: &str) -> Result<Plan, Diagnostics> {
    let source = SourceText::new(file, text);
    let parsed = file::parse(&source)?;
    compile::compile(&source, parsed)
}

/// As [`compile`] for a mapping that is known to be without faults: its rules are compiled when they
/// are first asked for.
pub(crate) fn compile_late(file: &'static str, text: &'static str) -> Result<Plan, Diagnostics> {
    let source = SourceText::new(file, text);
    let rules = move || {
        let source = SourceText::new(file, text);
        match file::parse(&source).and_then(|parsed| compile::rules(&source, parsed)) {
            Ok(rules) => rules,
            Err(faults) => unreachable!("{faults}"),
        }
    };
    compile::head(&source, file::head(&source)?, Box::new(rules))
}
