//! GCP VPC flow logs: JSON lines, hourly.

use anyhow::Result;

use super::{
    Job,
    attack::Story,
    flow::{Flow, Network},
    plan::hourly,
    scene::{Scene, civil},
    sink::{Frame, Sink, Stream},
    template::{Names, Template},
    world::World,
};

const FILE_BYTES_MIN: u64 = 4_000;

const NAMES: Names = Names {
    pools: &[
        ("country", 12, "<pick usa|deu|nld|gbr|fra|jpn>|<pick America|Europe|Asia>|<int 1000 65000>"),
        ("vm", 30, "<pick gke-core|web|batch|ingest>-<pick default|pool|mig>-<hex 4>"),
    ],
    vars: &[
        "project", "subnetId", "region", "src", "dst", "srcPort", "dstPort", "protocol", "bytes", "packets",
        "inbound", "outbound", "vm", "outside",
    ],
    fragments: &[
        (
            "vpc",
            r#"{"project_id":"<@project>","subnetwork_name":"core-<@region>","subnetwork_region":"<@region>","vpc_name":"core"}"#,
        ),
        (
            "instance",
            r#"{<?40>"managed_instance_group":{"name":"web-mig","region":"<@region>"},<)>"project_id":"<@project>","region":"<@region>","vm_name":"<@vm>","zone":"<@region>-b"}"#,
        ),
        (
            "place",
            r#"{"asn":<country.2>,<?30>"city":"<pick Springfield|Neustadt|Centerville>",<)>"continent":"<country.1>","country":"<country>"}"#,
        ),
    ],
};

const FLOW: &str = r#"{"insertId":"<base36 1><hex 13>","jsonPayload":{"bytes_sent":"<@bytes>","connection":{"dest_ip":"<@dst>","dest_port":<@dstPort>,"protocol":<@protocol>,"src_ip":"<@src>","src_port":<@srcPort>},<?@inbound>"dest_instance":<&instance>,<)><?@outside><?@outbound>"dest_location":<&place>,<)><)><?@inbound>"dest_vpc":<&vpc>,<)>"end_time":"<iso 9 -8>Z","packets_sent":"<@packets>","reporter":"<?@inbound>DEST<:>SRC<)>",<?70>"rtt_msec":"<log 1 400>",<)><?@outbound>"src_instance":<&instance>,<)><?@outside><?@inbound>"src_location":<&place>,<)><)><?@outbound>"src_vpc":<&vpc>,<)>"start_time":"<iso 9 -16>Z"},"logName":"projects/<@project>/logs/compute.googleapis.com%2Fvpc_flows","receiveTimestamp":"<iso 9 #1>Z","resource":{"labels":{"location":"<@region>-b","project_id":"<@project>","subnetwork_id":"<@subnetId>","subnetwork_name":"core-<@region>"},"type":"gce_subnetwork"},"timestamp":"<iso 9 #1>Z"}"#;

/// Writes all files of the source.
pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let mut log = Log::new(job.world)?;
    for slot in hourly(job.span, &[1.0], job.bytes, FILE_BYTES_MIN) {
        let at = civil(slot.from_ms);
        let name = format!(
            "gcp/compute.googleapis.com/vpc_flows/{}/{}_S0.json",
            at.strftime("%Y/%m/%d"),
            at.strftime("%H:00:00_%H:59:59")
        );
        sink.file(&slot, &name, Frame::LINES, &mut log)?;
    }
    Ok(())
}

/// The flow log of all projects.
struct Log {
    template: Template,
    projects: Vec<(Scene, Network, Vec<String>)>,
    attacker: String,
}

impl Log {
    fn new(world: &World) -> Result<Self> {
        let vm = Template::parse("<vm!>", &NAMES)?;
        let project = |(at, project): (usize, &String)| -> Result<_> {
            let mut rng = world.rng("gcp.vpc_flow", at);
            let network = Network::new(200 + at, &mut rng);
            let subnet = rng.u64(10_u64.pow(18)..).to_string();
            let region = ["us-central1", "europe-west4"][at % 2];
            let vars = [("project", &**project), ("region", region), ("subnetId", &*subnet)];
            let mut scene = Scene::new(NAMES, rng, &vars)?;
            let names = (0..network.len()).map(|_| scene.text(&vm)).collect();
            Ok((scene, network, names))
        };
        let projects = world.projects.iter().enumerate().map(project).collect::<Result<_>>()?;
        Ok(Self { template: Template::parse(FLOW, &NAMES)?, projects, attacker: Story::new(world).ip })
    }

    fn write(&mut self, project: usize, flow: &Flow, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let (scene, _, vms) = &mut self.projects[project];
        let flag = |set: bool| if set { "1" } else { "" };
        scene.set("src", &flow.src)?;
        scene.set("dst", &flow.dst)?;
        scene.set("srcPort", &flow.src_port.to_string())?;
        scene.set("dstPort", &flow.dst_port.to_string())?;
        scene.set("protocol", &flow.protocol.to_string())?;
        scene.set("bytes", &flow.bytes.to_string())?;
        scene.set("packets", &flow.packets.to_string())?;
        scene.set("inbound", flag(flow.inbound))?;
        scene.set("outbound", flag(!flow.inbound))?;
        scene.set("outside", flag(!flow.internal))?;
        scene.set("vm", &vms[flow.host])?;
        scene.begin(now_ms);
        scene.render(&self.template, out);
        Ok(())
    }
}

impl Stream for Log {
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let count = self.projects.len();
        let project = self.projects[0].0.rng.usize(..count);
        let (scene, network, _) = &mut self.projects[project];
        // Refused packets are the firewall's log, not this one.
        let mut flow = network.flow(None, &mut scene.rng);
        while !flow.accepted {
            flow = network.flow(None, &mut scene.rng);
        }
        self.write(project, &flow, now_ms, out)
    }

    fn attack(&mut self, step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let (scene, network, _) = &mut self.projects[0];
        let flow = network.exfiltration(&self.attacker, Story::flow_bytes(step), &mut scene.rng);
        self.write(0, &flow, now_ms, out)
    }
}
