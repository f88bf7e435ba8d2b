//! Traffic of a small network, which the flow logs of all three clouds report each in its way.

use fastrand::Rng;

use super::scene::{log_between, public_ip, zipf};

const HOSTS: usize = 24;
const PEERS: usize = 300;

/// Kinds of traffic: share, protocol, port of the server, server is outside, client is outside,
/// most bytes, percentage refused.
const KINDS: &[(u32, u8, u16, bool, bool, i64, u8)] = &[
    (30, 6, 443, true, false, 400_000, 0),
    (20, 6, 443, false, true, 2_000_000, 1),
    (14, 6, 5432, false, false, 900_000, 0),
    (6, 6, 6379, false, false, 60_000, 0),
    (10, 17, 53, false, false, 900, 0),
    (3, 17, 123, true, false, 300, 0),
    (6, 6, 8080, false, false, 200_000, 2),
    (4, 6, 22, false, true, 600, 96),
    (3, 6, 3389, false, true, 400, 100),
    (2, 6, 23, false, true, 200, 100),
    (2, 17, 5060, false, true, 500, 100),
    (1, 1, 0, false, true, 400, 30),
];

/// One connection in one interval.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) src: String,
    pub(super) dst: String,
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    /// IANA number.
    pub(super) protocol: u8,
    /// From source to destination.
    pub(super) packets: i64,
    pub(super) bytes: i64,
    /// From destination to source.
    pub(super) packets_back: i64,
    pub(super) bytes_back: i64,
    pub(super) accepted: bool,
    /// Enters the reporting host.
    pub(super) inbound: bool,
    /// Index of the host that reports it.
    pub(super) host: usize,
    /// The other end is in the network as well.
    pub(super) internal: bool,
}

/// Hosts and those they talk to.
#[derive(Debug)]
pub(super) struct Network {
    hosts: Vec<String>,
    peers: Vec<String>,
}

impl Network {
    /// A network with addresses below 10.`net`.0.0/16.
    pub(super) fn new(net: usize, rng: &mut Rng) -> Self {
        let hosts =
            (0..HOSTS).map(|at| format!("10.{}.{}.{}", net % 256, at / 8, 4 + at * 7 % 240)).collect();
        let peers = (0..PEERS).map(|_| public_ip(rng)).collect();
        Self { hosts, peers }
    }

    /// Number of hosts.
    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Some ordinary flow, of the given host or a popular one.
    pub(super) fn flow(&self, host: Option<usize>, rng: &mut Rng) -> Flow {
        let total: u32 = KINDS.iter().map(|kind| kind.0).sum();
        let mut at = rng.u32(..total);
        let kind = KINDS.iter().find(|kind| {
            let hit = at < kind.0;
            at = at.saturating_sub(kind.0);
            hit
        });
        let &(_, protocol, port, server_outside, client_outside, bytes_max, refused) =
            kind.unwrap_or(&KINDS[0]);
        let host = host.unwrap_or_else(|| zipf(rng, self.hosts.len()));
        let internal = !server_outside && !client_outside;
        let inbound = client_outside || (internal && rng.bool());
        let other = if internal {
            self.hosts[zipf(rng, self.hosts.len())].clone()
        } else {
            self.peers[zipf(rng, self.peers.len())].clone()
        };
        let own = self.hosts[host].clone();
        let accepted = rng.u8(..100) >= refused;
        let bytes = if accepted { log_between(rng, 60, bytes_max) } else { 40 + 4 * rng.i64(0..6) };
        let packets = (bytes / 700 + 1).min(bytes / 40 + 1);
        let bytes_back = if accepted { log_between(rng, 60, bytes_max * 3) } else { 0 };
        let ephemeral = if protocol == 1 { 0 } else { rng.u16(32_768..61_000) };
        let (src, dst) = if inbound { (other, own) } else { (own, other) };
        let packets_back = if accepted { bytes_back / 900 + 1 } else { 0 };
        Flow {
            src,
            dst,
            src_port: ephemeral,
            dst_port: port,
            protocol,
            packets,
            bytes,
            packets_back,
            bytes_back,
            accepted,
            inbound,
            host,
            internal,
        }
    }

    /// The attack's flow: the first host sends `bytes` to `ip`.
    pub(super) fn exfiltration(&self, ip: &str, bytes: i64, rng: &mut Rng) -> Flow {
        Flow {
            src: self.hosts[0].clone(),
            dst: ip.to_owned(),
            src_port: rng.u16(32_768..61_000),
            dst_port: 443,
            protocol: 6,
            packets: bytes / 1400,
            bytes,
            packets_back: bytes / 5600,
            bytes_back: bytes / 5600 * 52,
            accepted: true,
            inbound: false,
            host: 0,
            internal: false,
        }
    }
}
