//! `linchpin rehydrate`: raw events and delivered objects back from the archive.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use linchpin_config::{Diagnostics, DurationText, SourceText, Span};
use linchpin_normalize::Normalizer;
use linchpin_tiering::{
    Lake,
    jobs::{self, Approval, Destination, Estimated, Order, Phase, Pricing, speed_name},
    policy::{self, Predicate, PredicateError},
    prices::{Book, DAY_MS, Speed},
    rehydrate::{self, RehydrateError, Rehydrated, Request, Shape},
    tiers,
};

use super::search::LimitArgs;
use crate::{
    cli::ConfigArg,
    deployment::{Deployment, word_at},
    exit::Failure,
    moment::Moment,
    output::Output,
    table,
};

/// Bring events back from the archive, byte for byte, wherever they are now.
///
/// Only the blocks that hold them are read. What lies in a tier that cannot be read at once is brought
/// back by a job: it is priced first, begins when it is approved, and goes on after a restart;
/// `linchpin jobs` shows it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin rehydrate -c linchpin.yaml --where \"actor_user_name = 'ann' AND class_uid = 6003\" --from -7d\n  linchpin rehydrate -c linchpin.yaml --object trail/2026/01/31/a.json.gz --out a.json\n  linchpin rehydrate -c linchpin.yaml --where \"src_endpoint_ip = '198.51.100.7'\" --deliver folder:./case-7 --speed bulk --budget 20"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct RehydrateArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// SQL predicate over the linchpin columns
    #[arg(long = "where", value_name = "PREDICATE", required_unless_present = "object")]
    pub predicate: Option<String>,
    /// Events of this time or later: RFC 3339, a date, `-7d` or `now`
    #[arg(long, value_name = "T", allow_hyphen_values = true, conflicts_with = "object")]
    pub from: Option<Moment>,
    /// Events before this time
    #[arg(long, value_name = "T", allow_hyphen_values = true, conflicts_with = "object")]
    pub to: Option<Moment>,
    /// What to print of each event
    #[arg(long, value_enum, default_value_t, conflicts_with = "object")]
    pub format: EventFormat,
    /// Print raw events as `{"event_id":…,"raw_b64":…}`, one a line
    #[arg(long, conflicts_with = "object")]
    pub framed: bool,
    /// Rebuild the delivered object (inflated) with this key, or whose key ends with it
    #[arg(long, value_name = "KEY", conflicts_with = "predicate")]
    pub object: Option<String>,
    /// Write to this file, which appears when it is complete
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Only say what it would take: objects, bytes, price and time of each speed
    #[arg(long, conflicts_with = "object")]
    pub estimate: bool,
    /// Deliver by a job: `folder:DIR`, `table` (the table `rehydrated`) or `output:NAME`
    #[arg(long, value_name = "DEST", conflicts_with_all = ["object", "out"])]
    pub deliver: Option<Deliver>,
    /// How fast archived objects are restored
    #[arg(long, value_enum, default_value_t, conflicts_with = "object")]
    pub speed: SpeedArg,
    /// Days for which restored copies are kept
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=365))]
    pub days: u32,
    /// Approve what the estimate says
    #[arg(long, requires = "deliver")]
    pub yes: bool,
    /// Approve so much, in the price book's currency; refused if the estimate is above it
    #[arg(long, value_name = "AMOUNT", requires = "deliver", conflicts_with = "yes", value_parser = budget)]
    pub budget: Option<u64>,
    /// How long rows stay in the table `rehydrated`
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub keep: DurationText,
    /// Return when only waiting is left; a service or `linchpin jobs resume` goes on
    #[arg(long, requires = "deliver")]
    pub detach: bool,
    /// Say on standard error what finding and reading cost
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// What is printed of each event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    /// Its exact bytes and a newline
    #[default]
    Raw,
    /// OCSF documents of the rows that match, one a line
    Ocsf,
}

impl RehydrateArgs {
    fn shape(&self) -> Shape {
        match (self.format, self.framed) {
            (EventFormat::Raw, false) => Shape::Raw,
            (EventFormat::Raw, true) => Shape::Framed,
            (EventFormat::Ocsf, _) => Shape::Ocsf,
        }
    }
}

/// Where a job delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deliver {
    Folder(PathBuf),
    Table,
    Output(String),
}

impl FromStr for Deliver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "table" => Ok(Self::Table),
            Some(("folder", path)) if !path.is_empty() => Ok(Self::Folder(path.into())),
            Some(("output", name)) if !name.is_empty() => Ok(Self::Output(name.to_owned())),
            _ => Err(format!(
                "`{text}` is not a destination\nhint: write `folder:DIR`, `table` or `output:NAME`"
            )),
        }
    }
}

/// How fast archived objects are restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpeedArg {
    /// Minutes, where the class has it
    Expedited,
    /// Hours
    #[default]
    Standard,
    /// Up to two days, cheapest
    Bulk,
}

impl From<SpeedArg> for Speed {
    fn from(speed: SpeedArg) -> Self {
        match speed {
            SpeedArg::Expedited => Self::Expedited,
            SpeedArg::Standard => Self::Standard,
            SpeedArg::Bulk => Self::Bulk,
        }
    }
}

/// An amount of money in millionths; never more than what was written.
pub(crate) fn budget(text: &str) -> Result<u64, String> {
    let amount = text.parse::<f64>().ok().filter(|amount| (0.0..=1e12).contains(amount));
    let amount = amount.ok_or_else(|| format!("`{text}` is not an amount\nhint: write `20` or `0.50`"))?;
    Ok((amount * 1e6).floor() as u64)
}

pub(crate) fn run(args: &RehydrateArgs) -> Result<()> {
    if args.framed && args.format == EventFormat::Ocsf {
        return Err(Failure::usage(anyhow!(
            "`--framed` goes with `--format raw`\nhint: leave one of them out"
        )));
    }
    let predicate = args.predicate.as_deref().map(compile).transpose()?;
    let deployment = Deployment::load(&args.config.config)?;
    super::runtime()?.block_on(async {
        match (predicate, &args.object) {
            (Some(predicate), _) if args.deliver.is_some() || args.estimate => {
                job(args, &deployment, predicate).await
            }
            (Some(predicate), _) => events(args, &deployment, predicate).await,
            (None, Some(key)) => object(args, &deployment, key).await,
            (None, None) => Ok(()),
        }
    })
}

async fn object(args: &RehydrateArgs, deployment: &Deployment, key: &str) -> Result<()> {
    let lake = deployment.lake().await?;
    let mut output = Output::open(args.out.as_deref())?;
    let bytes = rehydrate::object(&lake, key, &mut output).await.map_err(failure)?;
    let read = lake.archive_requests().bytes_read;
    eprintln!("{} rebuilt, {} read", table::bytes(bytes), table::bytes(read));
    output.finish()
}

fn period(args: &RehydrateArgs) -> std::ops::Range<i64> {
    args.from.map_or(i64::MIN, |t| t.0)..args.to.map_or(i64::MAX, |t| t.0)
}

/// Events that can be read now, to standard output or a file.
async fn events(args: &RehydrateArgs, deployment: &Deployment, predicate: Predicate) -> Result<()> {
    let lake = deployment.lake().await?;
    let request = Request { predicate, period: period(args), limits: args.limits.limits() };
    if may_be_archived(&lake) {
        let book = crate::jobs::book(deployment)?;
        let estimated = estimate(args, &lake, &request, &book).await?;
        if estimated.archived().0 > 0 {
            print(&estimated, &book);
            return Err(Failure::problem(anyhow!(
                "some of it must be restored first, which takes time and money\nhint: add `--deliver folder:DIR` with `--yes` or `--budget AMOUNT`"
            )));
        }
    }
    let mut output = Output::open(args.out.as_deref())?;
    let mut normalizer = Normalizer::new(Arc::clone(&deployment.catalog));
    let found = rehydrate::find(&lake, &request, &mut normalizer).await.map_err(failure)?;
    let finding = lake.archive_requests();
    let shape = args.shape();
    let sink = |event: &Rehydrated<'_>| shape.write(event, &mut normalizer, &mut output);
    let events = rehydrate::fetch(&lake, &found, sink).await.map_err(failure)?;
    let all = lake.archive_requests();
    eprintln!(
        "{} events from {} segments, {} read from the archive",
        table::count(events),
        table::count(found.segments() as u64),
        table::bytes(all.bytes_read)
    );
    if args.explain {
        eprintln!(
            "finding: {} bytes in {} reads of the archive\nfetching: {} bytes in {} reads of the archive",
            finding.bytes_read,
            finding.gets,
            all.bytes_read - finding.bytes_read,
            all.gets - finding.gets
        );
    }
    output.finish()
}

/// Whether the ledger knows of a segment in a class whose reads need a restore.
fn may_be_archived(lake: &Lake) -> bool {
    lake.ledger.segments(&linchpin_tiering::ledger::SegmentFilter::default()).iter().any(|segment| {
        let place = segment.place();
        lake.provider(&place.store).is_ok_and(|provider| tiers::needs_restore(provider, &place.tier))
    })
}

async fn estimate(args: &RehydrateArgs, lake: &Lake, request: &Request, book: &Book) -> Result<Estimated> {
    let keep_days = u32::try_from(args.keep.0.as_millis() as i64 / DAY_MS).unwrap_or(u32::MAX).max(1);
    let destination = match &args.deliver {
        Some(Deliver::Output(name)) => Destination::Output(name.clone()),
        Some(Deliver::Table) => Destination::Table { keep_days },
        Some(Deliver::Folder(path)) => {
            let path = std::path::absolute(path).map_err(Failure::environment)?;
            Destination::Folder(path.display().to_string())
        }
        None => Destination::Folder(String::new()),
    };
    let order = Order {
        predicate: request.predicate.sql().to_owned(),
        from_ms: request.period.start,
        to_ms: request.period.end,
        shape: args.shape(),
        destination,
    };
    let pricing = Pricing { book, days: args.days };
    jobs::estimate(lake, order, request, pricing, crate::jobs::now_ms()).await.map_err(crate::jobs::failure)
}

/// A job: estimated, approved, run.
async fn job(args: &RehydrateArgs, deployment: &Deployment, predicate: Predicate) -> Result<()> {
    if let Some(Deliver::Output(name)) = &args.deliver
        && !deployment.config.outputs.iter().any(|output| output.name.value.as_str() == name)
    {
        return Err(Failure::usage(anyhow!("no output `{name}`\nhint: the configuration names its outputs")));
    }
    let lake = if args.estimate { deployment.lake().await? } else { deployment.lake_to_write().await? };
    let book = crate::jobs::book(deployment)?;
    let request = Request { predicate, period: period(args), limits: args.limits.limits() };
    let estimated = estimate(args, &lake, &request, &book).await?;
    print(&estimated, &book);
    if args.estimate {
        return Ok(());
    }
    let speed = Speed::from(args.speed);
    let price = estimated.job.offers.iter().find(|offer| offer.speed == speed).map_or(0, |o| o.price);
    let shown = |micros| crate::jobs::amount(micros, &book.currency);
    let budget = match args.budget {
        Some(budget) if budget < price => {
            return Err(Failure::problem(anyhow!(
                "it costs up to {}, the budget is {}\nhint: take `--speed bulk`, narrow the period or raise the budget",
                shown(price),
                shown(budget)
            )));
        }
        Some(budget) => budget,
        None if args.yes || price == 0 => price,
        None => {
            return Err(Failure::problem(anyhow!(
                "it costs up to {}, which nobody has approved\nhint: add `--yes` or `--budget AMOUNT`",
                shown(price)
            )));
        }
    };
    let id = estimated.keep(&lake).await.map_err(crate::jobs::failure)?.job.id;
    let at_ms = crate::jobs::now_ms();
    let approval = Approval { by: crate::jobs::user(), at_ms, budget, speed, days: args.days };
    crate::jobs::approve(&lake, &book, &id, approval).await?;
    finish(&crate::jobs::run(deployment, &lake, &book, &id, args.detach).await?)
}

/// Says how a job ended; only one that brought everything, or still does, is a success.
pub(crate) fn finish(job: &jobs::Job) -> Result<()> {
    eprintln!("{}", crate::jobs::state(job));
    eprintln!(
        "{} read from the archive, {} of {} committed",
        table::bytes(job.bytes_read),
        crate::jobs::amount(job.committed, &job.currency),
        crate::jobs::amount(job.approval.as_ref().map_or(0, |a| a.budget), &job.currency),
    );
    match job.phase() {
        Phase::Done | Phase::Running | Phase::Estimated => Ok(()),
        phase => Err(Failure::problem(anyhow!(
            "the job is {phase}\nhint: `linchpin jobs -c FILE show {}` says why",
            job.id
        ))),
    }
}

/// What it would take, on standard error.
fn print(estimated: &Estimated, book: &Book) {
    let (objects, bytes) = estimated.archived();
    let job = &estimated.job;
    eprintln!(
        "{} events known, {} segments in {} objects, at most {} to read",
        table::count(job.events_known),
        table::count(estimated.segments() as u64),
        table::count(job.parts.len() as u64),
        table::bytes(estimated.read_max()),
    );
    if estimated.scans() > 0 {
        eprintln!(
            "{} segments of expired days must be read to find their events",
            table::count(estimated.scans() as u64)
        );
    }
    eprintln!("{} objects to restore, {}", table::count(objects as u64), table::bytes(bytes));
    let mut offers = table::Table::new(["SPEED", "AT MOST", "READY IN"]);
    for offer in &job.offers {
        offers.row([
            speed_name(offer.speed).to_owned(),
            crate::jobs::amount(offer.price, &book.currency),
            table::span(Some(offer.minutes as i64 * 60_000)),
        ]);
    }
    eprint!("{offers}");
}

/// Compiles the predicate, or shows where it is wrong.
pub(crate) fn compile(sql: &str) -> Result<Predicate> {
    Predicate::compile(sql, policy::schema()).map_err(|PredicateError { message, offset, hint }| {
        let text = offset.map_or(sql, |at| sql.get(word_at(sql, at)).unwrap_or_default());
        let before = sql.get(..offset.unwrap_or(0)).unwrap_or_default();
        let line = before.matches('\n').count() as u32 + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u32 + 1;
        let source = SourceText::new("--where", sql);
        Failure::usage(Diagnostics(vec![source.diagnostic(Span { line, column }, text, message, hint)]))
    })
}

fn failure(error: RehydrateError) -> anyhow::Error {
    match error {
        // Found again by who asks whether only the reader has gone.
        RehydrateError::Sink(error) => error.into(),
        RehydrateError::NoSegment(_) | RehydrateError::Object { .. } | RehydrateError::Archive(_) => {
            Failure::problem(error)
        }
        other => Failure::environment(other),
    }
}
