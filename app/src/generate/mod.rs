//! `linchpin generate`: realistic logs of three clouds, at any size, the same for the same seed.
//!
//! One invented company has accounts, subscriptions and projects; its people and programs leave
//! events in all sources, written with the key order, formatting and object names of the clouds.
//! Names are popular by Zipf's law, ids and tokens are fresh, keys come and go, activity follows
//! the day. On request an attack is hidden in it. Every address and name is invented: addresses
//! come from ranges that are nobody's.
//!
//! Below the folder, each top folder stands for a bucket or storage account: `aws/`, `azure/`, `gcp/`.

mod attack;
mod azure_activity;
mod azure_flow;
mod azure_signin;
mod cloudtrail;
mod flow;
mod gcp_audit;
mod gcp_flow;
mod gcp_methods;
mod plan;
mod scene;
mod sink;
mod template;
mod vpc_flow;
mod world;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use jiff::Timestamp;

pub(crate) use self::attack::AttackStory;
use self::{
    attack::Story,
    plan::Span,
    sink::{Pending, Sink},
    world::World,
};

/// A source that can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// AWS `CloudTrail`.
    CloudTrail,
    /// AWS VPC flow logs.
    VpcFlow,
    /// Azure activity log.
    Activity,
    /// Entra sign-in logs, all four categories.
    SignIn,
    /// Azure virtual network flow logs.
    VnetFlow,
    /// Azure network security group flow logs.
    NsgFlow,
    /// GCP audit logs.
    GcpAudit,
    /// GCP VPC flow logs.
    GcpVpcFlow,
}

impl Kind {
    /// All sources with their share of the bytes.
    const SHARES: [(Self, f64); 8] = [
        (Self::CloudTrail, 0.50),
        (Self::VpcFlow, 0.14),
        (Self::Activity, 0.06),
        (Self::SignIn, 0.08),
        (Self::VnetFlow, 0.06),
        (Self::NsgFlow, 0.03),
        (Self::GcpAudit, 0.08),
        (Self::GcpVpcFlow, 0.05),
    ];

    /// All sources.
    pub(crate) fn all() -> Vec<Self> {
        Self::SHARES.iter().map(|share| share.0).collect()
    }

    /// Name of the source, as its mapping has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CloudTrail => "aws.cloudtrail",
            Self::VpcFlow => "aws.vpc_flow",
            Self::Activity => "azure.activity",
            Self::SignIn => "azure.signin",
            Self::VnetFlow => "azure.vnet_flow",
            Self::NsgFlow => "azure.nsg_flow",
            Self::GcpAudit => "gcp.audit",
            Self::GcpVpcFlow => "gcp.vpc_flow",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::all().into_iter().find(|kind| kind.name() == name);
        let known = || Self::all().iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| anyhow::anyhow!("unknown source `{name}`\nhint: known are {}", known()))
    }
}

/// What to generate.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Folder to write to; created.
    pub dir: PathBuf,
    /// Raw (uncompressed) bytes over all sources, about.
    pub bytes: u64,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// First moment of the logs.
    pub start: Timestamp,
    /// Length of the logs.
    pub span: Duration,
    /// Sources; the bytes are shared among them.
    pub sources: Vec<Kind>,
    /// Hide an attack.
    pub attack: bool,
    /// Raw bytes of a `CloudTrail` file, about.
    pub file_bytes: u64,
    /// Compress what the clouds deliver compressed.
    pub compress: bool,
}

impl Options {
    /// Raw bytes of a `CloudTrail` file unless told otherwise.
    pub(crate) const FILE_BYTES: u64 = 2 << 20;

    /// A day of all sources with a hidden attack.
    pub(crate) fn new(dir: PathBuf, bytes: u64, seed: u64, start: Timestamp) -> Self {
        Self {
            dir,
            bytes,
            seed,
            start,
            span: Duration::from_hours(24),
            sources: Kind::all(),
            attack: true,
            file_bytes: Self::FILE_BYTES,
            compress: true,
        }
    }
}

/// What was generated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Written {
    /// Files.
    pub files: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes on disk.
    pub stored_bytes: u64,
    /// Raw events by source name: a record or a line is one, whatever number of flows it holds.
    pub events: BTreeMap<String, u64>,
    /// The hidden attack.
    pub attack: Option<AttackStory>,
}

/// What a source needs to write its files.
struct Job<'a> {
    world: &'a World,
    span: Span,
    bytes: u64,
    file_bytes: u64,
}

/// Writes the logs; `progress` hears the raw bytes written so far after every file.
pub(crate) fn generate(options: &Options, progress: &mut dyn FnMut(u64)) -> Result<Written> {
    let from_ms = options.start.as_millisecond();
    let span_ms = i64::try_from(options.span.as_millis()).unwrap_or(i64::MAX / 2);
    if span_ms < 1000 || options.sources.is_empty() {
        bail!("nothing to generate: the span is below a second or no source is chosen");
    }
    let span = Span { from_ms, until_ms: from_ms.saturating_add(span_ms) };
    let world = World::new(options.seed);
    let story = Story::new(&world);
    let shares: Vec<(Kind, f64)> =
        Kind::SHARES.into_iter().filter(|(kind, _)| options.sources.contains(kind)).collect();
    let total: f64 = shares.iter().map(|share| share.1).sum();
    let mut written = Written::default();
    for (kind, share) in &shares {
        let bytes = (options.bytes as f64 * share / total) as u64;
        let job = Job { world: &world, span, bytes, file_bytes: options.file_bytes };
        let pending = if options.attack { Story::schedule(*kind, span) } else { Pending::new() };
        let mut sink =
            Sink::new(options.dir.clone(), options.compress, kind.name(), pending, &mut written, progress);
        match kind {
            Kind::CloudTrail => cloudtrail::write(&job, &mut sink)?,
            Kind::VpcFlow => vpc_flow::write(&job, &mut sink)?,
            Kind::Activity => azure_activity::write(&job, &mut sink)?,
            Kind::SignIn => azure_signin::write(&job, &mut sink)?,
            Kind::VnetFlow | Kind::NsgFlow => azure_flow::write(&job, &mut sink, *kind)?,
            Kind::GcpAudit => gcp_audit::write(&job, &mut sink)?,
            Kind::GcpVpcFlow => gcp_flow::write(&job, &mut sink)?,
        }
    }
    let kinds: Vec<Kind> = shares.iter().map(|share| share.0).collect();
    written.attack = options.attack.then(|| story.tell(&world, span, &kinds));
    Ok(written)
}

/// Single `CloudTrail` events as JSON, `n` of them, a second apart from `from` on.
#[cfg(test)]
fn cloudtrail_records(seed: u64, n: usize, from: Timestamp) -> Result<impl Iterator<Item = Result<Vec<u8>>>> {
    cloudtrail::records(seed, n, from.as_millisecond())
}
