//! `linchpin rehydrate`: raw events and delivered objects back from the archive.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Result, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use clap::{Args, ValueEnum};
use linchpin_config::{Diagnostics, SourceText, Span};
use linchpin_normalize::{EventId, Normalizer};
use linchpin_tiering::{
    Lake,
    policy::{self, Predicate, PredicateError},
    rehydrate::{self, RehydrateError, Rehydrated, Request},
    replay::replay_unit,
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
/// Only the blocks that hold them are read.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin rehydrate -c linchpin.yaml --where \"actor_user_name = 'ann' AND class_uid = 6003\" --from -7d\n  linchpin rehydrate -c linchpin.yaml --object trail/2026/01/31/a.json.gz --out a.json"
)]
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

pub(crate) fn run(args: &RehydrateArgs) -> Result<()> {
    if args.framed && args.format == EventFormat::Ocsf {
        return Err(Failure::usage(anyhow!(
            "`--framed` goes with `--format raw`\nhint: leave one of them out"
        )));
    }
    let predicate = args.predicate.as_deref().map(compile).transpose()?;
    let deployment = Deployment::load(&args.config.config)?;
    super::runtime()?.block_on(async {
        let lake = deployment.lake().await?;
        let mut output = Output::open(args.out.as_deref())?;
        match (predicate, &args.object) {
            (Some(predicate), _) => events(args, &deployment, &lake, predicate, &mut output).await?,
            (None, Some(key)) => {
                let bytes = rehydrate::object(&lake, key, &mut output).await.map_err(failure)?;
                eprintln!(
                    "{} rebuilt, {} read",
                    table::bytes(bytes),
                    table::bytes(lake.archive_requests().bytes_read)
                );
            }
            (None, None) => {}
        }
        output.finish()
    })
}

async fn events(
    args: &RehydrateArgs,
    deployment: &Deployment,
    lake: &Lake,
    predicate: Predicate,
    output: &mut Output,
) -> Result<()> {
    let period = args.from.map_or(i64::MIN, |t| t.0)..args.to.map_or(i64::MAX, |t| t.0);
    let request = Request { predicate, period, limits: args.limits.limits() };
    let mut normalizer = Normalizer::new(Arc::clone(&deployment.catalog));
    let found = rehydrate::find(lake, &request, &mut normalizer).await.map_err(failure)?;
    let finding = lake.archive_requests();
    let mut sink = |event: &Rehydrated<'_>| match (args.format, args.framed) {
        (EventFormat::Raw, false) => raw(event, output),
        (EventFormat::Raw, true) => framed(event, output),
        (EventFormat::Ocsf, _) => ocsf(event, &mut normalizer, output),
    };
    let events = rehydrate::fetch(lake, &found, &mut sink).await.map_err(failure)?;
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
    Ok(())
}

fn raw(event: &Rehydrated<'_>, to: &mut Output) -> io::Result<()> {
    to.write_all(event.event.bytes)?;
    to.write_all(b"\n")
}

fn framed(event: &Rehydrated<'_>, to: &mut Output) -> io::Result<()> {
    let id = EventId::new(event.unit.id().key(), event.event.offset, 0);
    writeln!(to, r#"{{"event_id":"{id}","raw_b64":"{}"}}"#, BASE64.encode(event.event.bytes))
}

fn ocsf(event: &Rehydrated<'_>, normalizer: &mut Normalizer, to: &mut Output) -> io::Result<()> {
    let documents = normalizer.render(&replay_unit(event.unit), event.event.offset, event.event.bytes);
    for sub in event.subs {
        if let Some(document) = documents.get(*sub as usize) {
            writeln!(to, "{document}")?;
        }
    }
    Ok(())
}

/// Compiles the predicate, or shows where it is wrong.
fn compile(sql: &str) -> Result<Predicate> {
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
