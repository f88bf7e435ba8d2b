//! `linchpin search`: SQL over the hot events.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use linchpin_config::{ByteSize, DurationText};
use linchpin_tiering::search::{Format, RowsWriter, SearchError, SearchLimits};

use crate::{cli::ConfigArg, deployment::Deployment, exit::Failure, output::Output};

/// Ask the hot events with SQL: one `SELECT` over the table `events`.
///
/// Rows that jobs brought back are in a table of their own, `rehydrated`, so that nothing counts twice;
/// their `retention` is the id of the job.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin search -c linchpin.yaml \"SELECT time, source, api_operation FROM events WHERE src_endpoint_ip = '198.51.100.7' ORDER BY time\""
)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The query
    pub sql: String,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: RowFormat,
    /// Write to this file, which appears when it is complete
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Say on standard error which files and how many bytes were read
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// For people
    #[default]
    Table,
    /// One array of objects
    Json,
    /// Comma-separated values with a header
    Csv,
    /// One Parquet file
    Parquet,
}

impl From<RowFormat> for Format {
    fn from(format: RowFormat) -> Self {
        match format {
            RowFormat::Table => Self::Table,
            RowFormat::Json => Self::Json,
            RowFormat::Csv => Self::Csv,
            RowFormat::Parquet => Self::Parquet,
        }
    }
}

/// What a query may use.
#[derive(Debug, Clone, Args)]
pub(crate) struct LimitArgs {
    /// Memory for sorting, joining and grouping
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub memory: ByteSize,
    /// Time from start to the last row
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub timeout: DurationText,
}

impl LimitArgs {
    /// The same as the search takes it.
    pub(crate) fn limits(&self) -> SearchLimits {
        let time: Duration = self.timeout.0;
        let memory_bytes = usize::try_from(self.memory.0).unwrap_or(usize::MAX);
        SearchLimits { memory_bytes, time, ..SearchLimits::default() }
    }
}

pub(crate) fn run(args: &SearchArgs) -> Result<()> {
    use std::io::IsTerminal;
    if args.format == RowFormat::Parquet && args.out.is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::usage(anyhow!("Parquet is not for a terminal\nhint: add `--out PATH`")));
    }
    let deployment = Deployment::load(&args.config.config)?;
    super::runtime()?.block_on(async {
        let lake = deployment.lake().await?;
        let mut search = lake.search(&args.sql, &args.limits.limits()).await.map_err(failure)?;
        let mut output = Output::open(args.out.as_deref())?;
        let mut writer = RowsWriter::new(args.format.into(), &search.schema(), &mut output)?;
        while let Some(batch) = search.next().await.map_err(failure)? {
            writer.write(&batch)?;
        }
        writer.finish()?;
        output.finish()?;
        if args.explain {
            eprintln!("{}", search.explain());
        }
        Ok(())
    })
}

fn failure(error: SearchError) -> anyhow::Error {
    match error {
        SearchError::Refused(_) | SearchError::Sql(_) => Failure::usage(error),
        other => Failure::environment(other),
    }
}
