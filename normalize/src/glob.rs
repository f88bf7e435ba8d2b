//! Texts with stars: `*` stands for any text.

/// A text with stars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    /// What stands between the stars.
    parts: Vec<Box<str>>,
}

impl Glob {
    /// Reads a text with stars.
    pub fn new(text: &str) -> Self {
        Self { parts: text.split('*').map(Into::into).collect() }
    }

    /// Whether a text fits. Each part is looked for once: a star takes as little as it can.
    pub fn fits(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &self.parts[..] else { return *self.parts[0] == *text };
        let Some(mut rest) = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last)) else {
            return false;
        };
        middle.iter().all(|part| {
            let Some(at) = memchr::memmem::find(rest.as_bytes(), part.as_bytes()) else { return false };
            rest = &rest[at + part.len()..];
            true
        })
    }

    /// How much of a text it fixes, in bytes.
    pub fn fixed(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (glob, text, holds) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*CEF:0|*", "<1>x CEF:0|v|", true),
            ("<*>1 *", "<14>1 2026", true),
            ("<*>1 *", "<14>Jan 1 ", false),
            ("ab*bc", "abc", false),
            ("*", "", true),
            ("é*é*", "éé", true),
            ("*a*b", "abab", true),
        ] {
            assert_eq!(Glob::new(glob).fits(text), holds, "{glob} {text}");
        }
    }
}
