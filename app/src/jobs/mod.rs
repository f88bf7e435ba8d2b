//! Rehydration jobs of a deployment: their destinations, and running them to their end.

mod output;

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use linchpin_normalize::Normalizer;
use linchpin_tiering::{
    Lake,
    jobs::{
        self, Approval, Destination, FolderSink, Job, JobError, Jobs, PartState, Progress, Runner, Sink,
        TableSink,
    },
    prices::Book,
};
use output::OutputSink;

use crate::{deployment::Deployment, exit::Failure, progress, table};

/// Longest sleep between two looks at a job, so that a stop by somebody else is seen.
const SLEEP_MAX: Duration = Duration::from_mins(1);

/// The price book of a deployment.
pub(crate) fn book(deployment: &Deployment) -> Result<Book> {
    Book::of(&deployment.config).map_err(Failure::usage)
}

/// Now, epoch milliseconds.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Millionths of a currency as an amount.
pub(crate) fn amount(micros: u64, currency: &str) -> String {
    let decimals = if micros == 0 || micros >= 100_000 { 2 } else { 6 };
    format!("{:.decimals$} {currency}", micros as f64 / 1e6)
}

/// Who runs the program.
pub(crate) fn user() -> String {
    let name = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    name.unwrap_or_else(|| "unknown".to_owned())
}

/// Lets a job cost as much as `budget`.
pub(crate) async fn approve(lake: &Lake, book: &Book, id: &str, approval: Approval) -> Result<Job> {
    jobs::approve(lake, &Jobs::of(lake), id, approval, book).await.map_err(failure)
}

/// Works on a job until it is over, or, `detached`, until there is only waiting left.
pub(crate) async fn run(
    deployment: &Deployment,
    lake: &Lake,
    book: &Book,
    id: &str,
    detached: bool,
) -> Result<Job> {
    let watch = progress::Progress::new();
    loop {
        let progress = advance(deployment, lake, book, id, |job| watch.say(&state(job))).await?;
        let job = Jobs::of(lake).load(id).await.map_err(failure)?.job;
        let Some(wakes_ms) = progress.wakes_ms.filter(|_| !detached) else { return Ok(job) };
        watch.say(&state(&job));
        let wait = Duration::from_millis(wakes_ms.saturating_sub(now_ms()).max(100) as u64);
        tokio::time::sleep(wait.min(SLEEP_MAX)).await;
    }
}

async fn advance(
    deployment: &Deployment,
    lake: &Lake,
    book: &Book,
    id: &str,
    watch: impl FnMut(&Job),
) -> Result<Progress> {
    let job = Jobs::of(lake).load(id).await.map_err(failure)?.job;
    let mut sink = sink(deployment, lake, &job).await?;
    let mut normalizer = Normalizer::new(Arc::clone(&deployment.catalog));
    let runner = Runner::new(lake, book, &now_ms).map_err(failure)?;
    let done = runner.advance(id, &mut *sink, &mut normalizer, watch).await;
    if done.is_ok() {
        // It has left the job: nobody asks any more whether it lives.
        lake.forget_presence(runner.id());
    }
    match done {
        // Somebody changed it, to stop it perhaps: it is looked at again.
        Err(JobError::Taken(_)) => {
            let job = Jobs::of(lake).load(id).await.map_err(failure)?.job;
            let wakes_ms = (!job.phase().is_final()).then(|| now_ms() + 5_000);
            Ok(Progress { phase: job.phase(), wakes_ms })
        }
        done => done.map_err(failure),
    }
}

/// Opens the destination of a job.
async fn sink(deployment: &Deployment, lake: &Lake, job: &Job) -> Result<Box<dyn Sink>> {
    match &job.order.destination {
        Destination::Folder(path) => {
            let sink = FolderSink::open(Path::new(path), job.order.shape);
            let sink = sink.map_err(|e| {
                Failure::environment(anyhow::Error::new(e).context(format!("cannot write to `{path}`")))
            })?;
            Ok(Box::new(sink))
        }
        Destination::Table { .. } => {
            let table = lake.rehydrated(true).await.map_err(Failure::environment)?;
            let table =
                table.ok_or_else(|| Failure::environment(anyhow!("the table `rehydrated` is missing")))?;
            Ok(Box::new(TableSink::new(table, &job.id)))
        }
        Destination::Output(name) => {
            let output = deployment.config.outputs.iter().find(|output| output.name.value.as_str() == name);
            let output = output.ok_or_else(|| {
                Failure::usage(anyhow!("no output `{name}`\nhint: the configuration names its outputs"))
            })?;
            let output = linchpin_integration::build(output).map_err(Failure::usage)?;
            Ok(Box::new(OutputSink::new(output, lake, job)))
        }
    }
}

/// One pass over the jobs that a service can work on: those whose destination does not depend on the
/// machine. `over` remembers the ones that need no more looks.
pub(crate) async fn tick(deployment: &Deployment, lake: &Lake, over: &mut BTreeSet<String>) -> Result<()> {
    let jobs = Jobs::of(lake);
    for id in jobs.ids().await.map_err(failure)? {
        if over.contains(&id) {
            continue;
        }
        let job = jobs.load(&id).await.map_err(failure)?.job;
        if job.phase().is_final() || matches!(job.order.destination, Destination::Folder(_)) {
            over.insert(id);
        } else if job.wakes_ms(now_ms()).is_some_and(|at| at <= now_ms()) {
            let watch = |job: &Job| tracing::debug!(job = job.id, events = job.events, "job goes on");
            if let Err(error) = advance(deployment, lake, &book(deployment)?, &id, watch).await {
                tracing::warn!(job = id, %error, "cannot work on a job");
            }
        }
    }
    Ok(())
}

/// How far a job is, in a line.
pub(crate) fn state(job: &Job) -> String {
    let count = |of: fn(&PartState) -> bool| table::count(job.count(of) as u64);
    format!(
        "job {}: {}, {} of {} objects delivered, {} being restored, {} events",
        job.id,
        job.phase(),
        count(|s| matches!(s, PartState::Delivered | PartState::Served)),
        count(|s| !matches!(s, PartState::Moved)),
        count(|s| matches!(s, PartState::Asked { .. } | PartState::Restoring { .. })),
        table::count(job.events),
    )
}

/// What went wrong, with its exit code.
pub(crate) fn failure(error: JobError) -> anyhow::Error {
    match error {
        JobError::NoJob(_) | JobError::TooLarge { .. } | JobError::Predicate { .. } => Failure::usage(error),
        JobError::Damaged { .. } | JobError::Archive(_) => Failure::problem(error),
        error => Failure::environment(error),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn amounts_are_shown_as_fine_as_they_are_small() {
        for (micros, text) in
            [(0, "0.00 USD"), (1_234_567, "1.23 USD"), (99_999, "0.099999 USD"), (12, "0.000012 USD")]
        {
            assert_eq!(super::amount(micros, "USD"), text);
        }
    }
}
