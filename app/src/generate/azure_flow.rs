//! Azure flow logs of virtual networks and of network security groups: a record a minute with many
//! flows, in one file an hour and network card.

use std::io::Write as _;

use anyhow::Result;
use fastrand::Rng;

use super::{
    Job, Kind,
    attack::Story,
    flow::{Flow, Network},
    plan::hourly,
    scene::{Scene, civil},
    sink::{Frame, Sink, Stream},
    template::{Names, Template},
    world::World,
};

const FRAME: Frame<'static> = Frame { open: r#"{"records":["#, between: ",", close: "]}" };
/// Network cards that report.
const CARDS: usize = 10;
const FILE_BYTES_MIN: u64 = 8_000;

const NAMES: Names = Names {
    pools: &[("guid", 1, "<uuid>"), ("acl", 3, "<uuid>"), ("mac", 1, "6045BD<base36 6>")],
    vars: &["subscription", "region", "group", "mac", "groups"],
    fragments: &[],
};

const VNET: &str = r#"{"time":"<iso 7>Z","flowLogGUID":"<guid>","macAddress":"<@mac>","category":"FlowLogFlowEvent","flowLogResourceID":"/SUBSCRIPTIONS/<@subscription>/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/NETWORKWATCHER_<@region>/FLOWLOGS/VNET-CORE","targetResourceID":"/subscriptions/<@subscription>/resourceGroups/<@group>/providers/Microsoft.Network/virtualNetworks/vnet-core","operationName":"FlowLogFlowEvent","flowLogVersion":4,"flowRecords":{"flows":[{"aclID":"<acl>","flowGroups":[<@groups>]}]}}"#;
const NSG: &str = r#"{"time":"<iso 7>Z","systemId":"<guid>","macAddress":"<@mac>","category":"NetworkSecurityGroupFlowEvent","resourceId":"/SUBSCRIPTIONS/<@subscription>/RESOURCEGROUPS/<@group>/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG-WEB","operationName":"NetworkSecurityGroupFlowEvents","properties":{"Version":2,"flows":[<@groups>]}}"#;

/// Rules with what they decide: name, accepts, inbound, within the network.
const RULES: &[(&str, bool, bool, bool)] = &[
    ("DefaultRule_AllowInternetOutBound", true, false, false),
    ("UserRule_Allow-HTTPS-Inbound", true, true, false),
    ("DefaultRule_AllowVnetInBound", true, true, true),
    ("DefaultRule_AllowVnetOutBound", true, false, true),
    ("DefaultRule_DenyAllInBound", false, true, false),
];

/// Writes all files of one of the two sources.
pub(super) fn write(job: &Job<'_>, sink: &mut Sink<'_>, kind: Kind) -> Result<()> {
    let weights: Vec<f64> = (0..CARDS).map(|card| 1.0 / (card + 1) as f64).collect();
    let mut cards: Vec<Card> = Vec::new();
    for slot in hourly(job.span, &weights, job.bytes, FILE_BYTES_MIN) {
        while cards.len() <= slot.lane {
            cards.push(Card::new(job.world, kind, cards.len())?);
        }
        let card = &mut cards[slot.lane];
        let hour = civil(slot.from_ms).strftime("y=%Y/m=%m/d=%d/h=%H/m=00").to_string();
        let Card { subscription, region, mac, group, .. } = &*card;
        let upper = subscription.to_uppercase();
        let name = if kind == Kind::VnetFlow {
            format!(
                "azure/insights-logs-flowlogflowevent/flowLogResourceID=/{upper}_NETWORKWATCHERRG/NETWORKWATCHER_{region}_VNET-CORE/{hour}/macAddress={mac}/PT1H.json"
            )
        } else {
            format!(
                "azure/insights-logs-networksecuritygroupflowevent/resourceId=/SUBSCRIPTIONS/{upper}/RESOURCEGROUPS/{group}/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG-WEB/{hour}/macAddress={mac}/PT1H.json"
            )
        };
        sink.file(&slot, &name, FRAME, card)?;
    }
    Ok(())
}

/// The flow log of one network card.
struct Card {
    kind: Kind,
    subscription: String,
    region: &'static str,
    group: &'static str,
    mac: String,
    network: Network,
    host: usize,
    template: Template,
    scene: Scene,
    attacker: String,
}

impl Card {
    fn new(world: &World, kind: Kind, lane: usize) -> Result<Self> {
        let mut rng = world.rng(kind.name(), lane);
        let region = ["WESTEUROPE", "EASTUS2"][lane % 2];
        let group = ["RG-SHOP-PROD", "RG-DATA", "RG-CORE"][lane % 3];
        let subscription = world.subscriptions[lane % world.subscriptions.len()].clone();
        let mac = format!("6045BD{:06X}", rng.u32(..1 << 24));
        let network = Network::new(100 + lane, &mut rng);
        let shown = if kind == Kind::NsgFlow { subscription.to_uppercase() } else { subscription.clone() };
        let vars = [("subscription", &*shown), ("region", region), ("group", group), ("mac", &*mac)];
        let scene = Scene::new(NAMES, rng, &vars)?;
        let template = Template::parse(if kind == Kind::VnetFlow { VNET } else { NSG }, &NAMES)?;
        let attacker = Story::new(world).ip;
        Ok(Self { kind, subscription, region, group, mac, network, host: lane, template, scene, attacker })
    }

    /// A record of these flows, grouped by the rule that let them through.
    fn record(&mut self, flows: &[Flow], now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let mut groups = Vec::new();
        for (rule, accepted, inbound, internal) in RULES {
            let of_rule = |flow: &&Flow| {
                (flow.accepted, flow.inbound, flow.internal) == (*accepted, *inbound, *internal)
            };
            let mut flows = flows.iter().filter(of_rule).peekable();
            if flows.peek().is_none() {
                continue;
            }
            if !groups.is_empty() {
                groups.push(b',');
            }
            let nested = if self.kind == Kind::VnetFlow {
                String::new()
            } else {
                format!(r#""flows":[{{"mac":"{}","#, self.mac)
            };
            write!(groups, r#"{{"rule":"{rule}",{nested}"flowTuples":["#)?;
            for (at, flow) in flows.enumerate() {
                let sep = if at > 0 { "," } else { "" };
                write!(groups, "{sep}\"")?;
                tuple(self.kind, flow, now_ms, &mut self.scene.rng, &mut groups)?;
                groups.push(b'"');
            }
            write!(groups, "{}", if nested.is_empty() { "]}" } else { "]}]}" })?;
        }
        self.scene.set("groups", &String::from_utf8(groups)?)?;
        self.scene.begin(now_ms);
        self.scene.render(&self.template, out);
        Ok(())
    }
}

fn tuple(kind: Kind, flow: &Flow, now_ms: i64, rng: &mut Rng, out: &mut Vec<u8>) -> Result<()> {
    let at_ms = now_ms - rng.i64(0..60_000);
    let way = if flow.inbound { 'I' } else { 'O' };
    let Flow { src, dst, src_port, dst_port, protocol, packets, bytes, packets_back, bytes_back, .. } = flow;
    let begins = rng.u8(..10) < 4 && *bytes < 100_000_000;
    let state = if begins { 'B' } else { ['C', 'E'][rng.usize(..2)] };
    let counters = format!("{packets},{bytes},{packets_back},{bytes_back}");
    match (kind, flow.accepted) {
        (Kind::VnetFlow, accepted) => {
            let state = if accepted { state } else { 'D' };
            let counters = if begins || !accepted { "0,0,0,0" } else { &counters };
            write!(out, "{at_ms},{src},{dst},{src_port},{dst_port},{protocol},{way},{state},NX,{counters}")?;
        }
        (_, accepted) => {
            let (decision, state) = if accepted { ('A', state) } else { ('D', 'B') };
            let counters = if begins || !accepted { ",,," } else { &counters };
            let letter = if *protocol == 17 { 'U' } else { 'T' };
            let at = at_ms / 1000;
            write!(
                out,
                "{at},{src},{dst},{src_port},{dst_port},{letter},{way},{decision},{state},{counters}"
            )?;
        }
    }
    Ok(())
}

impl Stream for Card {
    fn event(&mut self, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let count = self.scene.rng.usize(2..25);
        let flow = |_| self.network.flow(Some(self.host % self.network.len()), &mut self.scene.rng);
        let flows: Vec<Flow> = (0..count)
            .map(flow)
            .filter(|flow| flow.protocol != 1 && (flow.accepted || flow.inbound))
            .collect();
        // A refused flow inside the network would match no rule above.
        let flows: Vec<Flow> = flows.into_iter().filter(|flow| flow.accepted || !flow.internal).collect();
        if flows.is_empty() {
            return self.event(now_ms, out);
        }
        self.record(&flows, now_ms, out)
    }

    fn attack(&mut self, step: usize, now_ms: i64, out: &mut Vec<u8>) -> Result<()> {
        let flow = self.network.exfiltration(&self.attacker, Story::flow_bytes(step), &mut self.scene.rng);
        self.record(&[flow], now_ms, out)
    }
}
