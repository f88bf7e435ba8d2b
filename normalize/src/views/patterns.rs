//! Templates with named holes for messages that people read: `Failed password for {user} from
//! {ip:ip}`.
//!
//! Literals are looked for once, from left to right; what follows the one hole with a star from
//! right to left. So a match costs one pass over the text, whatever it says. Which templates are
//! tried is decided by a tree of the literals that they begin with; the first that fits is taken.

use std::net::IpAddr;

use memchr::memmem;

use super::Out;
use crate::scan::PathId;

/// Templates of one path.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    templates: Vec<Template>,
    /// Names of all holes.
    holes: Vec<Box<str>>,
    starts: Starts,
}

/// What a hole takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Any,
    Ip,
    Int,
    Word,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Box<str>),
    /// A literal that may be missing.
    Maybe(Box<str>),
    /// A hole: the index of its name, `None` if what it takes is skipped.
    Hole(Option<u16>, Takes),
    /// A hole that goes on to the last place where the rest still fits.
    Greedy(Option<u16>),
}

#[derive(Debug)]
struct Template {
    name: Box<str>,
    parts: Vec<Part>,
}

/// A fault of a template: byte offset, offending text, message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TemplateFault {
    pub offset: usize,
    pub text: String,
    pub message: &'static str,
}

impl Patterns {
    /// Adds a template; several may share a name.
    pub(crate) fn add(&mut self, name: &str, template: &str) -> Result<(), TemplateFault> {
        let parts = self.parse(template)?;
        let index = self.templates.len() as u16;
        match parts.first() {
            Some(Part::Literal(literal)) => self.starts.add(literal, index),
            _ => self.starts.add("", index),
        }
        self.templates.push(Template { name: name.into(), parts });
        Ok(())
    }

    fn parse(&mut self, template: &str) -> Result<Vec<Part>, TemplateFault> {
        let mut parts: Vec<Part> = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(c) = template[at..].chars().next() {
            if let Some(doubled) = ["{{", "}}"].iter().find(|d| template[at..].starts_with(**d)) {
                literal.push(c);
                at += doubled.len();
            } else if c == '{' {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                }
                let Some(len) = template[at..].find('}') else {
                    return fault(at, &template[at..], "a hole without `}`");
                };
                let part = self.part(at + 1, &template[at + 1..at + len])?;
                let open = |p: &Part| matches!(p, Part::Hole(_, Takes::Any) | Part::Greedy(_));
                let hole = matches!(part, Part::Hole(..) | Part::Greedy(_));
                if hole && parts.iter().rev().find(|p| !matches!(p, Part::Maybe(_))).is_some_and(open) {
                    return fault(at, &template[at..=at + len], "a literal must stand between two holes");
                }
                let greedy = |p: &Part| matches!(p, Part::Greedy(_));
                if greedy(&part) && parts.iter().any(greedy) {
                    return fault(at, &template[at..=at + len], "only one hole may have a star");
                }
                parts.push(part);
                at += len + 1;
            } else {
                literal.push(c);
                at += c.len_utf8();
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        if parts.is_empty() {
            return fault(0, template, "an empty template");
        }
        Ok(parts)
    }

    /// What stands between `{` and `}`.
    fn part(&mut self, at: usize, text: &str) -> Result<Part, TemplateFault> {
        if let Some(literal) = text.strip_prefix('?') {
            if literal.is_empty() {
                return fault(at, text, "`{?…}` needs a text");
            }
            return Ok(Part::Maybe(literal.into()));
        }
        let (greedy, text) = text.strip_prefix('*').map_or((false, text), |rest| (true, rest));
        let (name, takes) = text.split_once(':').unwrap_or((text, ""));
        let takes = match takes {
            "" => Takes::Any,
            "ip" => Takes::Ip,
            "int" => Takes::Int,
            "word" => Takes::Word,
            other => return fault(at, other, "a hole takes `ip`, `int` or `word`"),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return fault(at, text, "a hole's name has letters, digits and `_` only");
        }
        let hole = if name == "_" { None } else { Some(self.hole(name)) };
        match (greedy, takes) {
            (true, Takes::Any) => Ok(Part::Greedy(hole)),
            (true, _) => fault(at, text, "a hole with a star takes any text"),
            (false, takes) => Ok(Part::Hole(hole, takes)),
        }
    }

    fn hole(&mut self, name: &str) -> u16 {
        let known = self.holes.iter().position(|hole| **hole == *name);
        known.unwrap_or_else(|| {
            self.holes.push(name.into());
            self.holes.len() - 1
        }) as u16
    }

    /// Reads a text with the first template that fits it; false if none does.
    pub(super) fn read(&self, text: &str, holes: &mut Vec<PathId>, out: &mut Out<'_>) -> bool {
        let mut values = Vec::new();
        for index in self.starts.of(text.as_bytes()) {
            let template = &self.templates[usize::from(index)];
            values.clear();
            if !template.fits(text, &mut values) {
                continue;
            }
            if holes.is_empty() {
                holes.extend(self.holes.iter().map(|name| out.paths.child(out.at, Some(name))));
            }
            for (hole, start, end) in &values {
                out.span(holes[usize::from(*hole)], *start, *end);
            }
            let path = out.paths.field(super::PATTERN);
            out.decoded(path, &template.name);
            return true;
        }
        false
    }
}

fn fault<T>(offset: usize, text: &str, message: &'static str) -> Result<T, TemplateFault> {
    Err(TemplateFault { offset, text: text.to_owned(), message })
}

/// A hole and what it took, as bytes of the text.
type Taken = (u16, usize, usize);

impl Template {
    fn fits(&self, text: &str, taken: &mut Vec<Taken>) -> bool {
        let greedy = self.parts.iter().position(|p| matches!(p, Part::Greedy(_)));
        let Some(star) = greedy else {
            return forward(&self.parts, true, text, taken) == Some(text.len());
        };
        let Some(start) = forward(&self.parts[..star], false, text, taken) else { return false };
        let Some(end) = backward(&self.parts[star + 1..], text, start, taken) else { return false };
        if let Part::Greedy(Some(hole)) = self.parts[star] {
            taken.push((hole, start, end));
        }
        true
    }
}

/// Fits parts from left to right; gives where they end. `last` says that nothing follows them.
fn forward(parts: &[Part], last: bool, text: &str, taken: &mut Vec<Taken>) -> Option<usize> {
    let (mut index, mut at) = (0, 0);
    while let Some(part) = parts.get(index) {
        index += 1;
        match part {
            Part::Literal(literal) => {
                at += text[at..].starts_with(&**literal).then_some(literal.len())?;
            }
            Part::Maybe(literal) => {
                at += if text[at..].starts_with(&**literal) { literal.len() } else { 0 };
            }
            Part::Hole(hole, Takes::Any) => {
                let maybe = match parts.get(index) {
                    Some(Part::Maybe(literal)) => {
                        index += 1;
                        Some(literal)
                    }
                    _ => None,
                };
                let (mut end, after) = match parts.get(index) {
                    // The last literal ends the text.
                    Some(Part::Literal(literal))
                        if last && index + 1 == parts.len() && text.ends_with(&**literal) =>
                    {
                        (text.len() - literal.len(), text.len())
                    }
                    Some(Part::Literal(literal)) => {
                        let found = at + memmem::find(&text.as_bytes()[at..], literal.as_bytes())?;
                        (found, found + literal.len())
                    }
                    _ => (text.len(), text.len()),
                };
                if end < at {
                    return None;
                }
                index += usize::from(matches!(parts.get(index), Some(Part::Literal(_))));
                if let Some(maybe) = maybe
                    && text[at..end].ends_with(&**maybe)
                {
                    end -= maybe.len();
                }
                note(*hole, at, end, taken);
                at = after;
            }
            Part::Hole(hole, takes) => {
                let len = takes.len(&text[at..])?;
                note(*hole, at, at + len, taken);
                at += len;
            }
            Part::Greedy(_) => return None,
        }
    }
    Some(at)
}

/// Fits parts to the end of the text, from right to left; gives where they begin.
fn backward(parts: &[Part], text: &str, start: usize, taken: &mut Vec<Taken>) -> Option<usize> {
    let mut end = text.len();
    let mut open: Option<(Option<u16>, Takes)> = None;
    for part in parts.iter().rev() {
        match part {
            Part::Literal(literal) => {
                let rest = &text[start..end];
                if let Some((hole, takes)) = open.take() {
                    let found = start + rest.rfind(&**literal)?;
                    let from = found + literal.len();
                    if takes != Takes::Any && takes.len(&text[from..end]) != Some(end - from) {
                        return None;
                    }
                    note(hole, from, end, taken);
                    end = found;
                } else {
                    end -= rest.ends_with(&**literal).then_some(literal.len())?;
                }
            }
            Part::Maybe(literal) => {
                if open.is_none() && text[start..end].ends_with(&**literal) {
                    end -= literal.len();
                }
            }
            Part::Hole(hole, takes) => open = Some((*hole, *takes)),
            Part::Greedy(_) => return None,
        }
    }
    open.is_none().then_some(end)
}

fn note(hole: Option<u16>, start: usize, end: usize, taken: &mut Vec<Taken>) {
    if let Some(hole) = hole {
        taken.push((hole, start, end));
    }
}

impl Takes {
    /// How much of the text a typed hole takes.
    fn len(self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let run = |wanted: fn(&u8) -> bool| bytes.iter().take_while(|b| wanted(b)).count();
        let len = match self {
            Self::Any => bytes.len(),
            Self::Int => run(u8::is_ascii_digit),
            Self::Word => run(|b| !b.is_ascii_whitespace()),
            Self::Ip => {
                let mut len = run(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':'));
                // A mark after an address is not part of it.
                while len > 0 && text[..len].parse::<IpAddr>().is_err() {
                    len = if matches!(bytes[len - 1], b'.' | b':') { len - 1 } else { 0 };
                }
                len
            }
        };
        (len > 0).then_some(len)
    }
}

/// A tree of the literals that templates begin with.
#[derive(Debug, Default)]
struct Starts {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    next: Vec<(u8, u32)>,
    /// Templates whose literal ends here.
    ends: Vec<u16>,
}

impl Starts {
    fn add(&mut self, literal: &str, template: u16) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for byte in literal.bytes() {
            let known = self.nodes[at].next.iter().find(|(b, _)| *b == byte).map(|(_, n)| *n as usize);
            at = known.unwrap_or_else(|| {
                self.nodes.push(Node::default());
                let new = self.nodes.len() - 1;
                self.nodes[at].next.push((byte, new as u32));
                new
            });
        }
        self.nodes[at].ends.push(template);
    }

    /// The templates whose literal a text begins with, as they were written.
    fn of(&self, text: &[u8]) -> Vec<u16> {
        let mut found = Vec::new();
        let Some(mut node) = self.nodes.first() else { return found };
        found.extend(&node.ends);
        for byte in text {
            let Some((_, next)) = node.next.iter().find(|(b, _)| b == byte) else { break };
            node = &self.nodes[*next as usize];
            found.extend(&node.ends);
        }
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(templates: &[(&str, &str)], text: &str) -> Option<(String, Vec<(String, String)>)> {
        let mut patterns = Patterns::default();
        for (name, template) in templates {
            patterns.add(name, template).map_err(|f| f.message).unwrap();
        }
        patterns.starts.of(text.as_bytes()).into_iter().find_map(|index| {
            let template = &patterns.templates[usize::from(index)];
            let mut taken = Vec::new();
            template.fits(text, &mut taken).then(|| {
                let mut values: Vec<_> = taken
                    .iter()
                    .map(|(h, s, e)| (patterns.holes[usize::from(*h)].to_string(), text[*s..*e].to_owned()))
                    .collect();
                values.sort();
                (template.name.to_string(), values)
            })
        })
    }

    #[test]
    fn templates_and_texts() {
        const SSHD: &[(&str, &str)] = &[
            ("invalid", "Failed {method} for invalid user {*user} from {ip:ip} port {port:int}{? ssh2}"),
            ("failed", "Failed {method} for {user:word} from {ip:ip} port {port:int}{? ssh2}"),
            ("closed", "Connection closed by {?authenticating user }{who} port {port:int}{? [preauth]}"),
            ("any", "{_} reset{rest}"),
            ("braces", "{{{n:int}}}"),
            ("tail", "disk {name} is {state} now"),
        ];
        for (text, expected) in [
            (
                "Failed password for root from 192.0.2.1 port 22 ssh2",
                "failed ip=192.0.2.1 method=password port=22 user=root",
            ),
            (
                "Failed none for invalid user a b from 2001:db8::1 port 22",
                "invalid ip=2001:db8::1 method=none port=22 user=a b",
            ),
            // A user name that looks like the rest of the message does not put an address in its place.
            (
                "Failed none for invalid user x from 203.0.113.9 port 1 ssh2 from 192.0.2.1 port 22 ssh2",
                "invalid ip=192.0.2.1 method=none port=22 user=x from 203.0.113.9 port 1 ssh2",
            ),
            ("Failed password for root from nowhere port 22", ""),
            ("Connection closed by authenticating user ann port 1 [preauth]", "closed port=1 who=ann"),
            ("Connection closed by ann port 1", "closed port=1 who=ann"),
            ("Connection closed by ann port 1 and more", ""),
            ("the line was reset", "any"),
            ("the line was reset by peer", "any rest= by peer"),
            ("{7}", "braces n=7"),
            ("disk a now is b now", "tail name=a now state=b"),
            ("disk a is b", ""),
            ("", ""),
        ] {
            let found = fit(SSHD, text).map(|(name, values)| {
                let values: Vec<String> =
                    values.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={v}")).collect();
                format!("{name} {}", values.join(" ")).trim().to_owned()
            });
            assert_eq!(found.unwrap_or_default(), expected, "{text}");
        }
    }

    #[test]
    fn faults_of_templates() {
        for (template, offset, text) in [
            ("a {b", 2, "{b"),
            ("{a}{b}", 3, "{b}"),
            ("{a}{?x}{b}", 7, "{b}"),
            ("{*a} {*b}", 5, "{*b}"),
            ("{a:float}", 1, "float"),
            ("{}", 1, ""),
            ("{?}", 1, "?"),
            ("", 0, ""),
        ] {
            let fault = Patterns::default().add("x", template).err();
            assert_eq!(fault.map(|f| (f.offset, f.text)), Some((offset, text.to_owned())), "{template}");
        }
    }
}
