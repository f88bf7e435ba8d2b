//! Paths of leaves, interned: `userIdentity.arn`, `resources[].ARN`.

use rustc_hash::FxHashMap;

/// Most paths one source may have; structures that use data as keys stop growing here.
pub(super) const PATHS_MAX: usize = 1 << 16;

/// A path, as an index into its [`PathTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(pub u32);

impl PathId {
    /// The event itself.
    pub const ROOT: Self = Self(0);
    /// Stands for every path beyond `PATHS_MAX`.
    pub const OVERFLOW: Self = Self(1);
}

#[derive(Debug)]
struct Node {
    parent: PathId,
    /// Key of an object's member, or `None` for an element of an array.
    key: Option<Box<str>>,
    members: FxHashMap<Box<str>, PathId>,
    element: Option<PathId>,
}

impl Node {
    fn new(parent: PathId, key: Option<&str>) -> Self {
        Self { parent, key: key.map(Into::into), members: FxHashMap::default(), element: None }
    }
}

/// Every path seen so far; ids are given in order of first appearance and never change.
#[derive(Debug)]
pub struct PathTable {
    nodes: Vec<Node>,
}

impl Default for PathTable {
    fn default() -> Self {
        Self { nodes: vec![Node::new(PathId::ROOT, None), Node::new(PathId::ROOT, None)] }
    }
}

impl PathTable {
    /// The child of `parent` at `key`, or its element when `key` is `None`.
    pub fn child(&mut self, parent: PathId, key: Option<&str>) -> PathId {
        if parent == PathId::OVERFLOW {
            return parent;
        }
        let id = PathId(self.nodes.len() as u32);
        let node = &mut self.nodes[parent.0 as usize];
        let known = key.map_or(node.element, |key| node.members.get(key).copied());
        if let Some(known) = known {
            return known;
        }
        if id.0 as usize >= PATHS_MAX {
            return PathId::OVERFLOW;
        }
        match key {
            Some(key) => _ = node.members.insert(key.into(), id),
            None => node.element = Some(id),
        }
        self.nodes.push(Node::new(parent, key));
        id
    }

    /// The top-level path of a named field.
    pub fn field(&mut self, name: &str) -> PathId {
        self.child(PathId::ROOT, Some(name))
    }

    /// Number of ids given.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: the root is always there.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The steps from the root: keys, and `None` for array elements.
    pub fn steps(&self, path: PathId) -> Vec<Option<&str>> {
        let mut steps = Vec::new();
        let mut at = path;
        while at != PathId::ROOT && at != PathId::OVERFLOW {
            let node = &self.nodes[at.0 as usize];
            steps.push(node.key.as_deref());
            at = node.parent;
        }
        steps.reverse();
        steps
    }

    /// The path as mappings write it: `a.b[].c`, keys with dots, brackets or spaces in quotes.
    pub fn text(&self, path: PathId) -> String {
        join(&self.steps(path))
    }
}

/// Writes steps in the canonical form of mappings.
fn join(steps: &[Option<&str>]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            None => out.push_str("[]"),
            Some(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                if key.is_empty() || key.contains(['.', '[', ']', '"', ' ', '|', '?']) {
                    out.push('"');
                    out.push_str(&key.replace('"', "\\\""));
                    out.push('"');
                } else {
                    out.push_str(key);
                }
            }
        }
    }
    out
}
