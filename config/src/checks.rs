//! Checks over a whole file, after its values have been read.

use crate::diagnostic::{Diagnostic, SourceText, Span, suggestion};
use crate::located::Located;
use crate::values::Name;
use crate::yaml::Fault;

/// Collects what is wrong, with the file at hand to point into it.
pub(crate) struct Checks<'a> {
    pub(crate) source: &'a mut SourceText,
    pub(crate) found: Vec<Diagnostic>,
}

impl Checks<'_> {
    /// Notes a fault of `text` at `span`.
    pub(crate) fn refuse(&mut self, span: Span, text: &str, message: String, hint: Option<String>) {
        self.found.push(self.source.diagnostic(span, text, message, hint));
    }

    /// Notes a fault of a value whose text is not to be shown.
    pub(crate) fn fault(&mut self, span: Span, fault: Fault) {
        self.refuse(span, "", fault.message, fault.hint);
    }

    /// Refuses every name that came before.
    pub(crate) fn unique<'n>(&mut self, what: &str, names: impl Iterator<Item = (&'n str, Span)>) {
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for (name, span) in names {
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == name) {
                let hint = format!("the first one is in line {}", first.line);
                self.refuse(span, name, format!("two {what}s are called `{name}`"), Some(hint));
            }
            seen.push((name, span));
        }
    }

    /// Refuses a name that is not among `known`.
    pub(crate) fn known(&mut self, what: &str, name: &Located<Name>, known: &[&str]) {
        let text = name.value.as_str();
        if !known.contains(&text) {
            let hint = suggestion(text, known.iter().copied());
            self.refuse(name.span, text, format!("there is no {what} `{text}`"), hint);
        }
    }

    /// Refuses a predicate without text.
    pub(crate) fn predicate(&mut self, when: Option<&Located<String>>) {
        if let Some(when) = when.filter(|when| when.value.trim().is_empty()) {
            let hint = Some("leave `when` out to match everything".to_owned());
            self.refuse(when.span, &when.value, "the predicate is empty".to_owned(), hint);
        }
    }
}
