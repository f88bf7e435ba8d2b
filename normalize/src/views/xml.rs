//! XML documents: elements and attributes as members, without the outermost element.
//!
//! An element that repeats the form of Windows events, `<Data Name="X">value</Data>`, is the member
//! `X`; one without a name is an element of the list `Data[]`. Of a document that is cut off, as
//! senders with short messages do, the elements that stand complete are read.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use super::Out;
use crate::scan::PathId;

/// Deepest nesting of elements.
const DEPTH_MAX: usize = 64;
/// Elements whose attribute `Name` is their name.
const NAMED: &[u8] = b"Data";

struct Open {
    path: PathId,
    /// The element is an element of a list.
    listed: bool,
    /// Where its text is in the document, if it is one piece without entities.
    plain: Option<(usize, usize)>,
    text: String,
}

/// Reads a document; false if it is not one.
pub(super) fn read(text: &str, out: &mut Out<'_>) -> bool {
    if !text.trim_start().starts_with('<') {
        return false;
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    // Some senders write `&lt` without its end.
    reader.config_mut().allow_dangling_amp = true;
    let mut stack: Vec<Open> = Vec::new();
    let mut some = false;
    let mut root = String::new();
    loop {
        let Ok(event) = reader.read_event() else { return complete(&root, &stack, text, out) };
        match event {
            Event::Start(start) => {
                if stack.len() >= DEPTH_MAX {
                    return false;
                }
                if root.is_empty() {
                    root = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                }
                let open = element(&start, stack.last(), text, out);
                stack.push(open);
                some = true;
            }
            Event::Empty(start) => {
                element(&start, stack.last(), text, out);
                some = true;
            }
            Event::End(_) => {
                let Some(open) = stack.pop() else { return false };
                close(&open, text, out);
            }
            Event::Text(piece) => {
                let Some(open) = stack.last_mut() else { continue };
                add(open, text, std::str::from_utf8(&piece).unwrap_or_default());
            }
            Event::CData(piece) => {
                let Some(open) = stack.last_mut() else { continue };
                add(open, text, std::str::from_utf8(&piece).unwrap_or_default());
            }
            Event::GeneralRef(entity) => {
                let Some(open) = stack.last_mut() else { continue };
                open.unplain(text);
                let named = std::str::from_utf8(&entity).unwrap_or_default();
                match entity.resolve_char_ref() {
                    Ok(Some(c)) => open.text.push(c),
                    _ => match resolve_predefined_entity(named) {
                        Some(known) => open.text.push_str(known),
                        // What no standard names is kept as it is written.
                        None => open.text.extend(["&", named, ";"]),
                    },
                }
            }
            Event::Eof if stack.is_empty() => return some,
            Event::Eof => return complete(&root, &stack, text, out),
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
}

/// Whether what was read of a document that has a fault is to be had: the outermost element has
/// ended, or the document is cut and some of its elements have.
fn complete(root: &str, stack: &[Open], text: &str, out: &Out<'_>) -> bool {
    let cut = || !text.trim_end().ends_with(&format!("</{root}>"));
    !root.is_empty() && !out.found.leaves.is_empty() && (stack.is_empty() || cut())
}

impl Open {
    fn unplain(&mut self, text: &str) {
        if let Some((start, end)) = self.plain.take() {
            self.text.push_str(&text[start..end]);
        }
    }
}

/// Adds a piece of text to an element; the first stays where it is in the document.
fn add(open: &mut Open, text: &str, piece: &str) {
    if open.plain.is_none() && open.text.is_empty() {
        let start = piece.as_ptr() as usize - text.as_ptr() as usize;
        if start + piece.len() <= text.len() {
            open.plain = Some((start, start + piece.len()));
            return;
        }
    }
    open.unplain(text);
    open.text.push_str(piece);
}

fn close(open: &Open, text: &str, out: &mut Out<'_>) {
    let before = out.found.leaves.len();
    if let Some((start, end)) = open.plain {
        let piece = &text[start..end];
        let start = start + piece.len() - piece.trim_start().len();
        out.span(open.path, start, start + piece.trim().len());
    } else if !open.text.trim().is_empty() {
        out.decoded(open.path, open.text.trim());
    }
    if open.listed && out.found.leaves.len() > before {
        out.as_element();
    }
}

/// Opens an element: its path, and its attributes as members.
fn element(start: &BytesStart<'_>, parent: Option<&Open>, text: &str, out: &mut Out<'_>) -> Open {
    let name = start.local_name();
    let mut open = Open { path: out.at, listed: false, plain: None, text: String::new() };
    let Some(parent) = parent else { return open };
    let mut attributes = start.attributes();
    let attributes = attributes.with_checks(false).filter_map(Result::ok);
    if name.as_ref() == NAMED {
        let given = { attributes }.find(|a| a.key.local_name().as_ref() == b"Name");
        if let Some(given) = given.and_then(|a| String::from_utf8(a.value.into_owned()).ok()) {
            open.path = below(parent.path, &given, out);
            return open;
        }
        let list = below(parent.path, "Data", out);
        open.path = out.paths.child(list, None);
        open.listed = true;
        return open;
    }
    open.path = below(parent.path, &String::from_utf8_lossy(name.as_ref()), out);
    for attribute in attributes.filter(|a| !a.key.as_ref().starts_with(b"xmlns")) {
        let key = String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned();
        let path = below(open.path, &key, out);
        let raw = std::str::from_utf8(&attribute.value).unwrap_or_default();
        let at = raw.as_ptr() as usize;
        let inside = at.checked_sub(text.as_ptr() as usize).filter(|at| at + raw.len() <= text.len());
        match (inside, raw.contains('&')) {
            (Some(at), false) => out.span(path, at, at + raw.len()),
            _ => out.decoded(path, &quick_xml::escape::unescape(raw).unwrap_or(raw.into())),
        }
    }
    open
}

fn below(parent: PathId, name: &str, out: &mut Out<'_>) -> PathId {
    if parent == out.at { out.key(name) } else { out.paths.child(parent, Some(name)) }
}
