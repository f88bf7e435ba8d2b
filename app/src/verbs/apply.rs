//! `linchpin apply`: the policy under which things are moved and deleted.

use anyhow::Result;
use clap::Args;
use linchpin_tiering::{apply, signing::Signer};

use crate::{cli::ConfigArg, deployment::Deployment, exit::Failure, rails};

/// Put the retention policy of the configuration in force.
///
/// Nothing is moved or deleted under a policy that was not applied. The ledger keeps a signed record of
/// who applied which one; `linchpin plan` says beforehand what it does and costs.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin apply -c linchpin.yaml\n  linchpin apply -c linchpin.yaml --by \"ann, change 4711\""
)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Who applies it; the user's name when left out
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

pub(crate) fn run(args: &ApplyArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    rails::refuse_shortfalls(&deployment)?;
    for warning in rails::warnings(&deployment)? {
        eprintln!("{warning}\n");
    }
    let signer = deployment.signer()?;
    let who = args.by.clone().unwrap_or_else(user);
    let new = super::runtime()?.block_on(async {
        let lake = deployment.lake_to_write().await?;
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let retention = &deployment.config.retention;
        apply::apply(&lake, retention, &who, &signer, now_ms).await.map_err(Failure::environment)
    })?;
    println!(
        "the policy of {} is {}",
        args.config.config.display(),
        if new { "now in force" } else { "in force already" }
    );
    if new {
        println!("signed with {}", Signer::public(&signer));
    }
    Ok(())
}

/// The name of this user, as far as the environment tells.
pub(crate) fn user() -> String {
    let name = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    name.unwrap_or_else(|| "unknown".to_owned())
}
