//! `linchpin lifecycle`: the policy as rules of a bucket, or what a bucket's rules say against it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, ValueEnum};
use linchpin_config::{DEFAULT_ARCHIVE, Place};
use linchpin_tiering::{
    lifecycle::{self, Bucket},
    prices::Provider,
};

use crate::{cli::ConfigArg, deployment::Deployment, exit::Failure};

/// Write the moves of the policy as lifecycle rules of a bucket, or check the rules that it has.
///
/// Rules spare the enforcer its work, but they move single segments where it makes packs, and wait for
/// no output. Their expiry knows neither holds nor tombstones, so it is left out unless `--expire` asks
/// for it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin lifecycle -c linchpin.yaml --format aws > rules.json\n  aws s3api get-bucket-lifecycle-configuration --bucket B | linchpin lifecycle -c linchpin.yaml --format aws --existing -"
)]
pub(crate) struct LifecycleArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Whose rules
    #[arg(long, value_enum)]
    pub format: Cloud,
    /// Archive of the configuration; the first one with that cloud when left out
    #[arg(long, value_name = "NAME")]
    pub archive: Option<String>,
    /// Delete what is over as well, a week later
    #[arg(long, conflicts_with = "existing")]
    pub expire: bool,
    /// Check these rules instead, in the cloud's own JSON (`-` is standard input): exit code 1 if they
    /// contradict the policy
    #[arg(long, value_name = "FILE")]
    pub existing: Option<PathBuf>,
}

/// A cloud with lifecycle rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cloud {
    /// Amazon S3
    Aws,
    /// Azure Blob Storage
    Azure,
    /// Google Cloud Storage
    Gcp,
}

impl From<Cloud> for Provider {
    fn from(cloud: Cloud) -> Self {
        match cloud {
            Cloud::Aws => Self::S3,
            Cloud::Azure => Self::Azure,
            Cloud::Gcp => Self::Gcs,
        }
    }
}

pub(crate) fn run(args: &LifecycleArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    let provider = Provider::from(args.format);
    let place = archive(&deployment, args, provider)?;
    let (bucket, prefix) = place.map_or_else(<(Option<String>, String)>::default, parts);
    let lake = Some(parts(&deployment.config.lake)).filter(|(of, _)| of.is_some() && *of == bucket);
    let lake = lake.map(|(_, prefix)| prefix);
    let bucket = Bucket { provider, prefix: &prefix, lake: lake.as_deref() };
    let classes = deployment.policy.classes();
    let Some(existing) = &args.existing else {
        let rules = lifecycle::rules(&bucket, classes, args.expire);
        println!("{:#}", rules.unwrap_or_default());
        return Ok(());
    };
    let existing = serde_json::from_str(&read(existing)?);
    let existing = existing.context("the rules are not JSON").map_err(Failure::usage)?;
    let wrong = lifecycle::contradictions(&bucket, classes, &existing);
    for line in &wrong {
        println!("{line}");
    }
    match wrong.len() {
        0 => {
            println!("the rules do not contradict the policy");
            Ok(())
        }
        n => Err(Failure::problem(anyhow!(
            "{n} contradictions\nhint: take these rules away, or change the policy"
        ))),
    }
}

/// The archive that the rules are for. Without one of that cloud, rules are written for a bucket of the
/// archive's own, as a draft.
fn archive<'d>(
    deployment: &'d Deployment,
    args: &LifecycleArgs,
    provider: Provider,
) -> Result<Option<&'d Place>> {
    let config = &deployment.config;
    let Some(name) = &args.archive else {
        let with = |place: &&Place| Provider::of(place) == provider;
        let default = config.archive(DEFAULT_ARCHIVE).filter(with);
        return Ok(default.or_else(|| config.archives.value.iter().map(|(_, place)| place).find(with)));
    };
    let place = config.archive(name).ok_or_else(|| {
        let hint = linchpin_config::suggestion(name, config.archives.value.names());
        Failure::usage(anyhow!("there is no archive `{name}`\nhint: {}", hint.unwrap_or_default()))
    })?;
    if Provider::of(place) == provider {
        return Ok(Some(place));
    }
    let hint = "give another `--format`";
    Err(Failure::usage(anyhow!("the archive `{name}` is not with that cloud: `{place}`\nhint: {hint}")))
}

/// A bucket's name, and the prefix as rules give it: for Azure with the container before it.
fn parts(place: &Place) -> (Option<String>, String) {
    match place {
        Place::Folder(_) => (None, String::new()),
        Place::S3 { bucket, prefix } | Place::Gcs { bucket, prefix } => {
            (Some(bucket.clone()), prefix.clone())
        }
        Place::Azure { account, container, prefix } => {
            let prefix = if prefix.is_empty() { container.clone() } else { format!("{container}/{prefix}") };
            (Some(account.clone()), prefix)
        }
    }
}

fn read(path: &Path) -> Result<String> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    text.with_context(|| format!("cannot read `{}`", path.display())).map_err(Failure::usage)
}
