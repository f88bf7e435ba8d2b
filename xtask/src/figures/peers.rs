//! Linchpin beside the peers that have a target.

use anyhow::Result;

use super::{Figure, Lab, Target};
use crate::bench::{Beside, MEGABYTES, PEERS, Peer, RUNS, compare};

/// How many times as fast linchpin is, per CPU second and while it archives as well.
pub(super) fn beside_others(lab: &Lab) -> Result<Vec<Figure>> {
    let aimed: Vec<&Peer> = PEERS.iter().filter(|peer| peer.target.is_some()).collect();
    let comparison = compare(lab, MEGABYTES, RUNS, &aimed)?;
    let figure = |beside: &Beside<'_>| {
        let (name, least) = beside.peer.target?;
        Some(Figure { name, value: comparison.times(beside), target: Target::AtLeast(least) })
    };
    Ok(comparison.peers.iter().filter_map(figure).collect())
}
