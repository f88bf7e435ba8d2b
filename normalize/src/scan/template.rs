//! The structures seen so far, as an automaton: an event is read by comparing literals.
//!
//! The state is the path of the last leaf: it says which containers are open. From each state lead
//! the literals that were seen there, each to the next leaf. A structure is a way through the
//! automaton; one that was never seen as a whole is read as well, if each of its steps was.

use super::{Kind, Leaf, PathId, Scanned, json::Trace, json::Turn, string_end, value::scalar};

/// Most steps of one source's automaton; events beyond it are read the general way.
const STEPS_MAX: usize = 1 << 16;
/// Most bytes of all literals.
const LITERAL_BYTES_MAX: usize = 16 << 20;
/// Most literals tried in one state before the general reader is cheaper.
const TRIES_MAX: usize = 64;

const NONE: u32 = u32::MAX;
/// Before the first leaf.
const START: usize = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The literal ends with the opening quote.
    String,
    /// A number, `true`, `false` or `null` follows.
    Scalar,
    /// The literal ends with an empty object or array of this many bytes.
    Empty(Kind, u8),
    /// The literal ends the event.
    End,
}

/// From one leaf to the next.
#[derive(Debug)]
struct Step {
    /// The literal, as a range of the arena.
    literal: (u32, u32),
    shape: Shape,
    path: PathId,
    turn: Turn,
    /// Containers that the literal opens, as a range of `opened`.
    opened: (u32, u32),
    /// Another step from the same state.
    next: u32,
}

/// What the automaton has of a template: its steps, mixed into one number.
#[derive(Debug, Clone, Copy, Default)]
struct Structure(u64);

impl Structure {
    fn add(&mut self, step: usize) {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        self.0 = (self.0.rotate_left(23) ^ (step as u64 + 1)).wrapping_mul(ODD);
    }
}

/// The automaton of one source.
#[derive(Debug, Default)]
pub(super) struct Templates {
    /// For each state, its first step; the one taken last comes first.
    first: Vec<u32>,
    steps: Vec<Step>,
    arena: Vec<u8>,
    /// Containers, each with the array levels between it and the leaf that follows.
    opened: Vec<(PathId, u16)>,
    elements: Vec<u32>,
    seen: Seen,
}

/// Which keys the event in hand has had, to notice those that come twice.
#[derive(Debug, Default)]
struct Seen {
    event: u32,
    /// For each path, the event and the array element where it was last.
    last: Vec<(u32, u32)>,
}

impl Seen {
    fn begin(&mut self) {
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.last.clear();
            self.event = 1;
        }
    }

    /// Notes a path in an element; true if it was there before.
    fn again(&mut self, path: PathId, element: u32) -> bool {
        let at = path.0 as usize;
        if at >= self.last.len() {
            self.last.resize(at + 1, (0, 0));
        }
        std::mem::replace(&mut self.last[at], (self.event, element)) == (self.event, element)
    }
}

fn state(path: PathId) -> usize {
    path.0 as usize + 1
}

impl Templates {
    /// Reads an event whose steps are all known; false if one is not.
    pub(super) fn walk(&mut self, bytes: &[u8], out: &mut Scanned) -> bool {
        self.elements.clear();
        self.elements.push(0);
        self.seen.begin();
        let mut structure = Structure::default();
        let (mut from, mut at) = (START, 0);
        loop {
            let Some(index) = self.follow(from, &bytes[at..]) else { return false };
            structure.add(index);
            let Step { literal, shape, path, turn, opened, .. } = &self.steps[index];
            at += (literal.1 - literal.0) as usize;
            for _ in 0..turn.pop {
                self.elements.pop();
            }
            for _ in 0..turn.push {
                let parent = self.elements.last().copied().unwrap_or(0);
                self.elements.push(out.elements.len() as u32);
                out.elements.push(parent);
            }
            let (start, end, kind) = match *shape {
                Shape::String => match string_end(bytes, at) {
                    Some((end, true)) => (at, end, Kind::Escaped),
                    Some((end, false)) => (at, end, Kind::Text),
                    None => return false,
                },
                Shape::Scalar => match scalar(bytes, at) {
                    Some((end, kind)) => (at, end, kind),
                    None => return false,
                },
                Shape::Empty(kind, len) => (at - usize::from(len), at, kind),
                Shape::End => {
                    out.len = at as u32;
                    out.template = Some(structure.0);
                    return true;
                }
            };
            let element = self.elements.last().copied().unwrap_or(0);
            for (container, levels) in &self.opened[opened.0 as usize..opened.1 as usize] {
                let around = (0..*levels).fold(element, |e, _| out.elements[e as usize]);
                out.duplicate_keys |= self.seen.again(*container, around);
            }
            out.duplicate_keys |= self.seen.again(*path, element);
            out.leaves.push(Leaf { path: *path, start: start as u32, end: end as u32, kind, element });
            from = state(*path);
            at = end;
        }
    }

    /// The step from a state whose literal comes next; it moves to the front.
    fn follow(&mut self, from: usize, rest: &[u8]) -> Option<usize> {
        let first = *self.first.get(from)?;
        let (mut before, mut index) = (NONE, first);
        for _ in 0..TRIES_MAX {
            let step = self.steps.get(index as usize)?;
            let literal = &self.arena[step.literal.0 as usize..step.literal.1 as usize];
            let after = step.next;
            if begins_with(rest, literal)
                && (step.shape != Shape::Scalar || is_scalar(rest.get(literal.len())))
            {
                if before != NONE {
                    self.steps[before as usize].next = after;
                    self.steps[index as usize].next = first;
                    self.first[from] = index;
                }
                return Some(index as usize);
            }
            (before, index) = (index, after);
        }
        None
    }

    /// Adds the steps of an event that the general reader has read.
    pub(super) fn insert(&mut self, bytes: &[u8], out: &mut Scanned, trace: &Trace) {
        let full = self.steps.len() + out.leaves.len() >= STEPS_MAX
            || self.arena.len() + bytes.len() >= LITERAL_BYTES_MAX
            || out.leaves.iter().any(|leaf| leaf.path == PathId::OVERFLOW);
        if full {
            return;
        }
        // A value without a container leaves no state to go on from.
        if let [Leaf { path: PathId::ROOT, start, end, kind, .. }] = out.leaves[..] {
            let text = matches!(kind, Kind::Text | Kind::Escaped);
            let empty = matches!(kind, Kind::EmptyObject | Kind::EmptyArray);
            let shape =
                if empty { u64::from(end - start) << 2 | u64::from(kind == Kind::EmptyArray) } else { 0 };
            out.template = Some(shape << 1 | u64::from(text));
            return;
        }
        let mut structure = Structure::default();
        let (mut from, mut at) = (START, 0);
        for ((leaf, turn), opened) in out.leaves.iter().zip(&trace.turns).zip(trace.opened()) {
            let (literal_end, shape) = match leaf.kind {
                Kind::Text | Kind::Escaped => (leaf.start, Shape::String),
                Kind::EmptyObject | Kind::EmptyArray => {
                    let Ok(len) = u8::try_from(leaf.end - leaf.start) else { return };
                    (leaf.end, Shape::Empty(leaf.kind, len))
                }
                _ => (leaf.start, Shape::Scalar),
            };
            let literal = &bytes[at..literal_end as usize];
            structure.add(self.step(from, literal, shape, leaf.path, *turn, opened));
            from = state(leaf.path);
            at = leaf.end as usize;
        }
        let literal = &bytes[at..out.len as usize];
        structure.add(self.step(from, literal, Shape::End, PathId::ROOT, Turn::default(), &[]));
        out.template = Some(structure.0);
    }

    fn step(
        &mut self,
        from: usize,
        literal: &[u8],
        shape: Shape,
        path: PathId,
        turn: Turn,
        opened: &[(PathId, u16)],
    ) -> usize {
        if from >= self.first.len() {
            self.first.resize(from + 1, NONE);
        }
        let mut index = self.first[from];
        while let Some(step) = self.steps.get(index as usize) {
            let known = &self.arena[step.literal.0 as usize..step.literal.1 as usize];
            if known == literal && step.shape == shape && step.path == path {
                return index as usize;
            }
            index = step.next;
        }
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(literal);
        let opened_start = self.opened.len() as u32;
        self.opened.extend_from_slice(opened);
        self.steps.push(Step {
            literal: (start, self.arena.len() as u32),
            shape,
            path,
            turn,
            opened: (opened_start, self.opened.len() as u32),
            next: self.first[from],
        });
        let index = self.steps.len() - 1;
        self.first[from] = index as u32;
        index
    }
}

/// Whether `rest` begins with `literal`. Literals of one state begin alike
/// (`","requestParameters":{"`) and differ at their ends, and most are short: the last bytes are
/// compared first, and words of eight bytes without a call.
fn begins_with(rest: &[u8], literal: &[u8]) -> bool {
    const WORD: usize = 8;
    let Some(found) = rest.get(..literal.len()) else { return false };
    let (Some(found_end), Some(end)) = (found.last_chunk::<WORD>(), literal.last_chunk::<WORD>()) else {
        return found == literal;
    };
    let (found_words, words) = (found.as_chunks::<WORD>().0, literal.as_chunks::<WORD>().0);
    found_end == end && found_words.iter().zip(words).all(|(found, word)| found == word)
}

fn is_scalar(first: Option<&u8>) -> bool {
    first.is_some_and(|b| matches!(b, b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
}
