//! `linchpin plan`: what a policy keeps, moves, deletes and costs.

mod html;
mod shown;

use std::{path::PathBuf, str::FromStr, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use linchpin_config::{ByteSize, Feed, Place};
use linchpin_tiering::{
    enforce,
    plan::{self, Facts, Given, Order, Plan},
    policy::Predicate,
    prices::{Book, DAY_MS, Provider},
};

use crate::{deployment::Deployment, exit::Failure, moment::Moment, rails};

/// How often the enforcer of a service makes a pass.
const PASS: Duration = Duration::from_hours(1);
/// Most months that are planned one by one.
const MONTHS_MAX: u32 = 240;

/// Say what a retention policy keeps, moves, deletes and costs, before it is applied.
///
/// It works from the ledger: what is in the lake now, and what came in during the last 30 days, which goes
/// on for `--months`. Rules that differ from those in force are tried on the hot rows. Without a lake, or
/// to plan for other sizes, give `--inflow`. Prices come from the price book (`prices:` of the
/// configuration, or the built-in one). Nothing is changed and no store is asked for more than the lake's
/// own tables.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin plan -c new.yaml --against linchpin.yaml\n  linchpin plan -c new.yaml --inflow cloudtrail=20GiB --inflow flows:bulk=300GiB --html plan.html"
)]
pub(crate) struct PlanArgs {
    /// Configuration whose policy is planned
    #[arg(short = 'c', long = "config", value_name = "FILE", required_unless_present = "prices")]
    pub config: Option<PathBuf>,
    /// Configuration to compare it with, on the same lake
    #[arg(long, value_name = "FILE", requires = "config")]
    pub against: Option<PathBuf>,
    /// Months for which the inflow goes on
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=i64::from(MONTHS_MAX)))]
    pub months: u32,
    /// Raw bytes a day of a feed, `FEED=SIZE` or `FEED:CLASS=SIZE`, instead of what came in lately
    #[arg(long, value_name = "FEED[:CLASS]=SIZE")]
    pub inflow: Vec<Size>,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
    /// Write the plan as a page with a plot of the months
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print the built-in price book, to make one's own of it
    #[arg(long, conflicts_with_all = ["config", "json", "html", "inflow"])]
    pub prices: bool,
    /// Take this for the present
    #[arg(long, value_name = "T", hide = true, allow_hyphen_values = true)]
    pub now: Option<Moment>,
}

/// Raw bytes a day of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    feed: String,
    class: Option<String>,
    bytes: u64,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is not a size of a feed\nhint: write `cloudtrail=20GiB` or `flows:bulk=300GiB`")
        };
        let (name, size) = text.split_once('=').ok_or_else(wrong)?;
        let ByteSize(bytes) = size.parse().map_err(|e: linchpin_config::ValueError| e.to_string())?;
        let (feed, class) = match name.split_once(':') {
            Some((feed, class)) => (feed, Some(class.to_owned())),
            None => (name, None),
        };
        if feed.is_empty() { Err(wrong()) } else { Ok(Self { feed: feed.to_owned(), class, bytes }) }
    }
}

/// Where the inflow of a plan comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// What came in lately.
    Ledger,
    /// Sizes on the command line.
    Given,
    /// Nothing came in.
    Nothing,
}

pub(crate) fn run(args: &PlanArgs) -> Result<()> {
    let Some(path) = &args.config else {
        print!("{}", Book::default_text());
        return Ok(());
    };
    let deployment = Deployment::load(path)?;
    let against = args.against.as_deref().map(Deployment::load).transpose()?;
    rails::refuse_shortfalls(&deployment)?;
    let now_ms = args.now.map_or_else(|| jiff::Timestamp::now().as_millisecond(), |now| now.0);
    let (plan, basis) = planned(&deployment, &deployment, args, now_ms)?;
    let against =
        against.map(|of| planned(&of, &deployment, args, now_ms)).transpose()?.map(|(plan, _)| plan);
    if let Some(file) = &args.html {
        let page = html::page(&plan, against.as_ref());
        std::fs::write(file, page)
            .with_context(|| format!("cannot write `{}`", file.display()))
            .map_err(Failure::environment)?;
    }
    if args.json {
        println!("{:#}", shown::as_json(&plan, against.as_ref(), basis));
    } else {
        print!("{}", shown::as_text(&plan, against.as_ref(), basis));
    }
    Ok(())
}

/// Plans the policy of `deployment` on the lake of `lake`.
fn planned(
    deployment: &Deployment,
    lake: &Deployment,
    args: &PlanArgs,
    now_ms: i64,
) -> Result<(Plan, Basis)> {
    let book = Book::of(&deployment.config).map_err(Failure::usage)?;
    let mut facts = if has_ledger(&lake.config.lake) {
        super::runtime()?.block_on(read(deployment, lake, now_ms))?
    } else {
        Facts { lake: Some(Provider::of(&lake.config.lake)), ..Facts::default() }
    };
    let mut basis = if facts.inflow.is_empty() { Basis::Nothing } else { Basis::Ledger };
    if !args.inflow.is_empty() {
        facts.inflow = given(deployment, &args.inflow)?;
        basis = Basis::Given;
    }
    let order = Order {
        classes: deployment.policy.classes(),
        book: &book,
        now_ms,
        months: args.months,
        habits: enforce::Habits::default(),
        pass: PASS,
    };
    Ok((plan::plan(&order, &facts), basis))
}

/// Whether there is a lake to read: to plan must not make one.
fn has_ledger(lake: &Place) -> bool {
    lake.as_folder().is_none_or(|folder| folder.join("ledger").is_dir())
}

async fn read(deployment: &Deployment, lake: &Deployment, now_ms: i64) -> Result<Facts> {
    let open = lake.lake().await?;
    let outputs: Vec<Option<Predicate>> = siem_outputs(deployment);
    let lately = now_ms - plan::LATELY_DAYS * DAY_MS..now_ms + DAY_MS;
    let risk = deployment.risk.now();
    let sample = plan::sample(&open, &deployment.policy, &risk, &outputs, &lately);
    let sample = sample.await.map_err(Failure::environment)?;
    let facts = plan::read(&open, deployment.policy.classes(), rest(deployment), &sample, now_ms);
    facts.await.map_err(Failure::environment)
}

/// The predicates of the outputs that bring events to a SIEM.
fn siem_outputs(deployment: &Deployment) -> Vec<Option<Predicate>> {
    let outputs = deployment.config.outputs.iter().zip(&deployment.output_when);
    outputs.filter(|(output, _)| rails::is_siem(&output.to)).map(|(_, when)| when.clone()).collect()
}

/// The class of what no other rule takes.
fn rest(deployment: &Deployment) -> &str {
    deployment.config.retention.rules.value.last().map_or("", |rule| rule.class.value.as_str())
}

fn given(deployment: &Deployment, sizes: &[Size]) -> Result<Vec<plan::Inflow>> {
    let config = &deployment.config;
    let siems = siem_outputs(deployment);
    // One without a predicate takes everything; of the others nothing is known without rows.
    let taken = if siems.iter().any(Option::is_none) { 1.0 } else { 0.0 };
    let mut given = Vec::with_capacity(sizes.len());
    for size in sizes {
        let class = size.class.as_deref().unwrap_or_else(|| rest(deployment));
        if deployment.policy.class(class).is_none() {
            let hint = linchpin_config::suggestion(class, config.retention.classes.value.names());
            let hint = hint.unwrap_or_default();
            return Err(Failure::usage(anyhow!("there is no retention class `{class}`\nhint: {hint}")));
        }
        let feed = config.feeds.value.iter().find(|feed| feed.name.value.as_str() == size.feed);
        let archive = feed.map_or(linchpin_config::DEFAULT_ARCHIVE, Feed::archive);
        given.push(Given {
            feed: size.feed.clone(),
            class: class.to_owned(),
            provider: config.archive(archive).map_or(Provider::Local, Provider::of),
            raw_bytes_day: size.bytes as f64,
            taken,
        });
    }
    let flush = &config.limits.flush;
    Ok(plan::given(&given, flush.bytes.value.0, flush.age.value.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn sizes_of_feeds() {
        let size = |feed: &str, class: Option<&str>, bytes| Size {
            feed: feed.to_owned(),
            class: class.map(str::to_owned),
            bytes,
        };
        assert_eq!("trail=20GiB".parse(), Ok(size("trail", None, 20 << 30)));
        assert_eq!("flows:bulk=1MiB".parse(), Ok(size("flows", Some("bulk"), 1 << 20)));
        for wrong in ["trail", "=1GiB", "trail=lots", "trail=5"] {
            assert!(wrong.parse::<Size>().is_err_and(|e| e.contains("hint: ")), "{wrong}");
        }
    }
}
