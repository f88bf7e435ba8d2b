//! The tree of templates: an event is read by comparing literals on the way from its root.

use super::{Kind, Leaf, PathId, Scanned, json::Trace, json::Turn, string_end, value::scalar};

/// Most nodes of one source's tree; events beyond it are read the general way.
const NODES_MAX: usize = 1 << 17;
/// Most leaves of an event that the tree takes.
const LEAVES_MAX: usize = 512;
/// Most literals tried at one node before the general reader is cheaper.
const SIBLINGS_MAX: usize = 32;

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The literal ends with the opening quote.
    String,
    /// A number, `true`, `false` or `null` follows.
    Scalar,
    /// The literal ends with an empty object or array of this many bytes.
    Empty(Kind, u8),
    /// The literal ends the event.
    End { duplicate_keys: bool },
}

#[derive(Debug)]
struct Node {
    /// The literal, as a range of the arena.
    literal: (u32, u32),
    shape: Shape,
    path: PathId,
    turn: Turn,
    first_child: u32,
    next_sibling: u32,
}

#[derive(Debug)]
pub(super) struct Templates {
    nodes: Vec<Node>,
    arena: Vec<u8>,
    elements: Vec<u32>,
}

impl Default for Templates {
    fn default() -> Self {
        let root = Node {
            literal: (0, 0),
            shape: Shape::Scalar,
            path: PathId::ROOT,
            turn: Turn::default(),
            first_child: NONE,
            next_sibling: NONE,
        };
        Self { nodes: vec![root], arena: Vec::new(), elements: Vec::new() }
    }
}

impl Templates {
    /// Reads an event whose structure is known; false if it is not.
    pub(super) fn walk(&mut self, bytes: &[u8], out: &mut Scanned) -> bool {
        self.elements.clear();
        self.elements.push(0);
        let (mut node, mut at) = (0, 0);
        loop {
            let Some(next) = self.follow(node, &bytes[at..]) else { return false };
            node = next;
            let Node { literal, shape, path, turn, .. } = &self.nodes[node];
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
                Shape::End { duplicate_keys } => {
                    out.len = at as u32;
                    out.template = Some(node as u32);
                    out.duplicate_keys = duplicate_keys;
                    return true;
                }
            };
            let element = self.elements.last().copied().unwrap_or(0);
            out.leaves.push(Leaf { path: *path, start: start as u32, end: end as u32, kind, element });
            at = end;
        }
    }

    /// The child of `node` whose literal comes next; it moves to the front of its siblings.
    fn follow(&mut self, node: usize, rest: &[u8]) -> Option<usize> {
        let first = self.nodes[node].first_child;
        let (mut before, mut child) = (NONE, first);
        let mut tries = 0;
        while child != NONE {
            let candidate = &self.nodes[child as usize];
            let literal = &self.arena[candidate.literal.0 as usize..candidate.literal.1 as usize];
            let next = candidate.next_sibling;
            let fits = rest.starts_with(literal)
                && (candidate.shape != Shape::Scalar
                    || rest
                        .get(literal.len())
                        .is_some_and(|b| !matches!(b, b'"' | b'{' | b'[' | b' ' | b'\n')));
            if fits {
                if before != NONE {
                    self.nodes[before as usize].next_sibling = next;
                    self.nodes[child as usize].next_sibling = first;
                    self.nodes[node].first_child = child;
                }
                return Some(child as usize);
            }
            tries += 1;
            if tries == SIBLINGS_MAX {
                return None;
            }
            (before, child) = (child, next);
        }
        None
    }

    /// Adds the structure of an event that the general reader has read.
    pub(super) fn insert(&mut self, bytes: &[u8], out: &mut Scanned, trace: &Trace) {
        if out.leaves.len() > LEAVES_MAX || self.nodes.len() + out.leaves.len() >= NODES_MAX {
            return;
        }
        let (mut node, mut at) = (0, 0);
        for (leaf, turn) in out.leaves.iter().zip(&trace.turns) {
            let (literal_end, shape) = match leaf.kind {
                Kind::Text | Kind::Escaped => (leaf.start, Shape::String),
                Kind::EmptyObject | Kind::EmptyArray => {
                    let Ok(len) = u8::try_from(leaf.end - leaf.start) else { return };
                    (leaf.end, Shape::Empty(leaf.kind, len))
                }
                _ => (leaf.start, Shape::Scalar),
            };
            node = self.child(node, &bytes[at..literal_end as usize], shape, leaf.path, *turn);
            at = leaf.end as usize;
        }
        let end = Shape::End { duplicate_keys: out.duplicate_keys };
        let last = self.child(node, &bytes[at..out.len as usize], end, PathId::ROOT, Turn::default());
        out.template = Some(last as u32);
    }

    fn child(&mut self, node: usize, literal: &[u8], shape: Shape, path: PathId, turn: Turn) -> usize {
        let mut child = self.nodes[node].first_child;
        while child != NONE {
            let known = &self.nodes[child as usize];
            let same = &self.arena[known.literal.0 as usize..known.literal.1 as usize];
            if same == literal && known.shape == shape && known.path == path {
                return child as usize;
            }
            child = known.next_sibling;
        }
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(literal);
        let next_sibling = self.nodes[node].first_child;
        let id = self.nodes.len();
        self.nodes.push(Node {
            literal: (start, self.arena.len() as u32),
            shape,
            path,
            turn,
            first_child: NONE,
            next_sibling,
        });
        self.nodes[node].first_child = id as u32;
        id
    }
}
