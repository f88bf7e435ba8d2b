//! Merkle tree over a segment's events in row order, in the shape of RFC 6962.
//!
//! Leaf = SHA-256(0x00 ‖ SHA-256(event)), node = SHA-256(0x01 ‖ left ‖ right), and the root of no
//! events = SHA-256 of nothing. An event's own SHA-256 is all that is needed to prove it, so a proof
//! never shows the event.

use sha2::{Digest, Sha256};

/// Streaming root: holds one hash per complete subtree, at most 64.
#[derive(Debug, Clone, Default)]
pub struct MerkleTree {
    /// Roots of complete subtrees, larger first: one for every bit set in `leaves`.
    subtrees: Vec<[u8; 32]>,
    leaves: u64,
}

impl MerkleTree {
    /// Adds the next event by its SHA-256.
    pub fn push(&mut self, event_sha256: &[u8; 32]) {
        let mut hash = leaf(event_sha256);
        let mut bits = self.leaves;
        while bits & 1 == 1 {
            let Some(left) = self.subtrees.pop() else { break };
            hash = node(&left, &hash);
            bits >>= 1;
        }
        self.subtrees.push(hash);
        self.leaves += 1;
    }

    /// Number of events added.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Root over the events added so far.
    pub fn root(&self) -> [u8; 32] {
        self.subtrees
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node(&left, &right))
            .unwrap_or_else(|| Sha256::digest([]).into())
    }
}

fn leaf(event_sha256: &[u8; 32]) -> [u8; 32] {
    let mut input = [0; 33];
    input[1..].copy_from_slice(event_sha256);
    Sha256::digest(input).into()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut input = [1; 65];
    input[1..33].copy_from_slice(left);
    input[33..].copy_from_slice(right);
    Sha256::digest(input).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962, section 2.1: split at the largest power of two below the length.
    fn naive(events: &[[u8; 32]]) -> [u8; 32] {
        match events {
            [] => Sha256::digest([]).into(),
            [one] => leaf(one),
            many => {
                let split = many.len().next_power_of_two() / 2;
                node(&naive(&many[..split]), &naive(&many[split..]))
            }
        }
    }

    #[test]
    fn streaming_root_equals_the_definition_at_every_length() {
        let events: Vec<[u8; 32]> = (0..70u8).map(|i| Sha256::digest([i]).into()).collect();
        let mut tree = MerkleTree::default();
        assert_eq!(tree.root(), naive(&[]));
        for (i, event) in events.iter().enumerate() {
            tree.push(event);
            assert_eq!(tree.root(), naive(&events[..=i]), "{} leaves", i + 1);
        }
        assert_eq!(tree.leaves(), 70);
    }

    #[test]
    fn order_changes_the_root() {
        let [a, b]: [[u8; 32]; 2] = [Sha256::digest(b"a").into(), Sha256::digest(b"b").into()];
        assert_ne!(naive(&[a, b]), naive(&[b, a]));
    }
}
