//! AWS VPC flow logs: text with a header line, in the default columns or a chosen set.

use std::io::Write as _;

use anyhow::Result;
use fastrand::Rng;

use super::{
    Job,
    attack::Story,
    flow::{Flow, Network},
    plan::by_size,
    scene::{civil, random},
    sink::{Frame, Sink, Stream},
    world::World,
};

/// The default columns (version 2).
const V2: &[&str] = &[
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
];

/// A chosen set (version 5).
const V5: &[&str] = &[
    "version",
    "vpc-id",
    "subnet-id",
    "instance-id",
    "interface-id",
    "account-id",
    "type",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "pkt-srcaddr",
    "pkt-dstaddr",
    "protocol",
    "bytes",
    "packets",
    "start",
    "end",
    "action",
    "tcp-flags",
    "log-status",
    "region",
    "az-id",
    "flow-direction",
    "traffic-path",
    "pkt-src-aws-service",
    "pkt-dst-aws-service",
];

/// Largest file; the service delivers small ones.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Percentage of rows that say only that nothing was seen.
const NODATA_PERCENT: u8 = 3;

/// Writes all files of the source.
pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let lanes = &job.world.aws;
    let weights: Vec<f64> = lanes.iter().map(|lane| lane.weight).collect();
    let mut log: Option<Log> = None;
    for slot in by_size(job.span, &weights, job.bytes, job.file_bytes.min(FILE_BYTES_MAX)) {
        let mut current = match log.take().filter(|log| log.lane == slot.lane) {
            Some(log) => log,
            None => Log::new(job.world, slot.lane),
        };
        let lane = &lanes[slot.lane];
        let at = civil(slot.until_ms);
        let name = format!(
            "aws/AWSLogs/{account}/vpcflowlogs/{region}/{}/{account}_vpcflowlogs_{region}_fl-{}_{}_{}.log.gz",
            at.strftime("%Y/%m/%d"),
            &current.ids[0].vpc[4..],
            at.strftime("%Y%m%dT%H%MZ"),
            hex(8, &mut current.rng),
            account = lane.account,
            region = lane.region,
        );
        let header = current.columns.join(" ") + "\n";
        sink.file(&slot, &name, Frame { open: &header, between: "\n", close: "\n" }, &mut current)?;
        log = Some(current);
    }
    Ok(())
}

fn hex(len: usize, rng: &mut Rng) -> String {
    let mut out = Vec::new();
    random(rng, b"0123456789abcdef", len, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Names of a host.
struct Ids {
    interface: String,
    instance: String,
    subnet: String,
    vpc: String,
}

/// The flow log of one account and region.
struct Log {
    lane: usize,
    columns: &'static [&'static str],
    account: String,
    region: &'static str,
    network: Network,
    ids: Vec<Ids>,
    rng: Rng,
    attacker: String,
}

impl Log {
    fn new(world: &World, lane: usize) -> Self {
        let mut rng = world.rng("aws.vpc_flow", lane);
        let network = Network::new(lane, &mut rng);
        let (vpc, subnets) = (
            format!("vpc-0{}", hex(16, &mut rng)),
            [hex(16, &mut rng), hex(16, &mut rng), hex(16, &mut rng)],
        );
        let ids = (0..network.len()).map(|host| Ids {
            interface: format!("eni-0{}", hex(16, &mut rng)),
            instance: format!("i-0{}", hex(16, &mut rng)),
            subnet: format!("subnet-0{}", subnets[host % 3]),
            vpc: vpc.clone(),
        });
        let ids = ids.collect();
        let place = &world.aws[lane];
        Self {
            lane,
            columns: if lane % 3 == 1 { V5 } else { V2 },
            account: place.account.clone(),
            region: place.region,
            network,
            ids,
            rng,
            attacker: Story::new(world).ip,
        }
    }

    fn row(&mut self, flow: Option<&Flow>, host: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let (end, length) = (now_ms / 1000, self.rng.i64(5..60));
        let flags = [2, 3, 19, 27][self.rng.usize(..4)];
        for (at, column) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            let ids = &self.ids[host];
            match (*column, flow) {
                ("version", _) => write!(out, "{}", if self.columns.len() == V2.len() { 2 } else { 5 })?,
                ("account-id", _) => write!(out, "{}", self.account)?,
                ("interface-id", _) => write!(out, "{}", ids.interface)?,
                ("instance-id", _) => write!(out, "{}", ids.instance)?,
                ("subnet-id", _) => write!(out, "{}", ids.subnet)?,
                ("vpc-id", _) => write!(out, "{}", ids.vpc)?,
                ("region", _) => write!(out, "{}", self.region)?,
                ("start", _) => write!(out, "{}", end - length)?,
                ("end", _) => write!(out, "{end}")?,
                ("log-status", flow) => write!(out, "{}", if flow.is_some() { "OK" } else { "NODATA" })?,
                ("srcaddr" | "pkt-srcaddr", Some(flow)) => write!(out, "{}", flow.src)?,
                ("dstaddr" | "pkt-dstaddr", Some(flow)) => write!(out, "{}", flow.dst)?,
                ("srcport", Some(flow)) => write!(out, "{}", flow.src_port)?,
                ("dstport", Some(flow)) => write!(out, "{}", flow.dst_port)?,
                ("protocol", Some(flow)) => write!(out, "{}", flow.protocol)?,
                ("packets", Some(flow)) => write!(out, "{}", flow.packets)?,
                ("bytes", Some(flow)) => write!(out, "{}", flow.bytes)?,
                ("action", Some(flow)) => write!(out, "{}", if flow.accepted { "ACCEPT" } else { "REJECT" })?,
                ("type", Some(_)) => write!(out, "IPv4")?,
                ("tcp-flags", Some(flow)) => write!(out, "{}", if flow.protocol == 6 { flags } else { 0 })?,
                ("az-id", Some(_)) => write!(out, "{}-az{}", &self.region[..2], host % 3 + 1)?,
                ("flow-direction", Some(flow)) => {
                    write!(out, "{}", if flow.inbound { "ingress" } else { "egress" })?
                }
                ("traffic-path", Some(flow)) if !flow.inbound => {
                    write!(out, "{}", if flow.internal { 1 } else { 8 })?
                }
                ("pkt-dst-aws-service", Some(flow)) if !flow.internal && flow.bytes % 4 == 0 => {
                    write!(out, "S3")?
                }
                _ => out.push(b'-'),
            }
        }
        Ok(())
    }
}

impl Stream for Log {
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        if self.rng.u8(..100) < NODATA_PERCENT {
            let host = self.rng.usize(..self.ids.len());
            return self.row(None, host, now_ms, out);
        }
        let flow = self.network.flow(None, &mut self.rng);
        self.row(Some(&flow), flow.host, now_ms, out)
    }

    fn attack(&mut self, step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let bytes = Story::flow_bytes(step);
        let flow = self.network.exfiltration(&self.attacker, bytes, &mut self.rng);
        self.row(Some(&flow), flow.host, now_ms, out)
    }
}
