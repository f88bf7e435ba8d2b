//! AWS VPC flow logs: text with a header line, in the default columns or a chosen set.

use std::borrow::Cow;

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

/// A file's bytes are this part of a `CloudTrail` file's, and at most that.
const FILE_PART: u64 = 4;
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Percentage of rows that say only that nothing was seen.
const NODATA_PERCENT: u8 = 3;

/// Writes all files of the source.
pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let lanes = &job.world.aws;
    let weights: Vec<f64> = lanes.iter().map(|lane| lane.weight).collect();
    let mut log: Option<Log> = None;
    for slot in by_size(job.span, &weights, job.bytes, (job.file_bytes / FILE_PART).min(FILE_BYTES_MAX)) {
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
    /// Length of the next row's interval.
    seconds: i64,
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
            seconds: 30,
            attacker: Story::new(world).ip,
        }
    }

    /// One row; without a flow it says that nothing was seen.
    fn row(&mut self, flow: Option<&Flow>, host: usize, now_ms: i64, out: &mut Vec<u8>) {
        let end = now_ms / 1000;
        let row =
            Row { log: self, ids: &self.ids[host], az: host % 3 + 1, end, start: end - self.seconds, flow };
        for (at, column) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            match row.of_log(column).or_else(|| flow.and_then(|flow| row.of_flow(column, flow))) {
                Some(value) => out.extend_from_slice(value.as_bytes()),
                None => out.push(b'-'),
            }
        }
        self.seconds = self.rng.i64(5..60);
    }
}
/// What a row's columns say.
struct Row<'a> {
    log: &'a Log,
    ids: &'a Ids,
    /// Number of the availability zone.
    az: usize,
    start: i64,
    end: i64,
    flow: Option<&'a Flow>,
}

impl<'a> Row<'a> {
    /// Columns that every row has.
    fn of_log(&self, column: &str) -> Option<Cow<'a, str>> {
        Some(match column {
            "version" => if self.log.columns.len() == V2.len() { "2" } else { "5" }.into(),
            "account-id" => (&*self.log.account).into(),
            "interface-id" => (&*self.ids.interface).into(),
            "instance-id" => (&*self.ids.instance).into(),
            "subnet-id" => (&*self.ids.subnet).into(),
            "vpc-id" => (&*self.ids.vpc).into(),
            "region" => self.log.region.into(),
            "start" => self.start.to_string().into(),
            "end" => self.end.to_string().into(),
            "log-status" => if self.flow.is_some() { "OK" } else { "NODATA" }.into(),
            _ => return None,
        })
    }

    /// Columns that need a flow.
    fn of_flow(&self, column: &str, flow: &'a Flow) -> Option<Cow<'a, str>> {
        Some(match column {
            "srcaddr" | "pkt-srcaddr" => (&*flow.src).into(),
            "dstaddr" | "pkt-dstaddr" => (&*flow.dst).into(),
            "srcport" => flow.src_port.to_string().into(),
            "dstport" => flow.dst_port.to_string().into(),
            "protocol" => flow.protocol.to_string().into(),
            "packets" => flow.packets.to_string().into(),
            "bytes" => flow.bytes.to_string().into(),
            "action" => if flow.accepted { "ACCEPT" } else { "REJECT" }.into(),
            "type" => "IPv4".into(),
            "tcp-flags" if flow.protocol == 6 => ["2", "3", "19", "27"][(flow.bytes % 4) as usize].into(),
            "tcp-flags" => "0".into(),
            "az-id" => format!("{}-az{}", &self.log.region[..2], self.az).into(),
            "flow-direction" => if flow.inbound { "ingress" } else { "egress" }.into(),
            "traffic-path" if !flow.inbound => if flow.internal { "1" } else { "8" }.into(),
            "pkt-dst-aws-service" if !flow.inbound && !flow.internal && flow.bytes % 4 == 0 => "S3".into(),
            _ => return None,
        })
    }
}

impl Stream for Log {
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        if self.rng.u8(..100) < NODATA_PERCENT {
            let host = self.rng.usize(..self.ids.len());
            self.row(None, host, now_ms, out);
            return Ok(());
        }
        let flow = self.network.flow(None, &mut self.rng);
        self.row(Some(&flow), flow.host, now_ms, out);
        Ok(())
    }

    fn attack(&mut self, step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let bytes = Story::flow_bytes(step);
        let flow = self.network.exfiltration(&self.attacker, bytes, &mut self.rng);
        self.row(Some(&flow), flow.host, now_ms, out);
        Ok(())
    }
}
