//! Figures of buckets: the same work as on folders, at what speed and by how many requests.

use std::{
    fs,
    path::Path,
    process::{Command, id},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Figure, Lab, Target,
    lake::{Lake, Places, Settings, generate, number},
    spine::ingest,
};
use crate::{
    measure::{Finished, measure},
    services::Running,
    tools,
};

/// Raw logs for the speed, in megabytes.
const MEGABYTES: u64 = 420;
/// More of them for the requests: enough epochs for what a start asks not to count.
const MORE_MEGABYTES: u64 = 1000;
/// Odd, so that there is a middle one.
const ROUNDS: usize = 3;
/// One PUT is granted for so many archived bytes.
const BYTES_PER_PUT: u64 = 8 << 20;
/// Ledger and hot table.
const TABLES: f64 = 2.0;

/// Puts a folder's files into a bucket, below `logs/` and the folder's name.
const UPLOAD: &str = "
import pathlib, sys
import boto3
endpoint, bucket, folder = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint)
if bucket not in [known['Name'] for known in s3.list_buckets()['Buckets']]:
    s3.create_bucket(Bucket=bucket)
for path in sorted(pathlib.Path(folder).rglob('*')):
    if path.is_file():
        s3.put_object(Bucket=bucket, Key=f'logs/{path.relative_to(pathlib.Path(folder).parent)}', Body=path.read_bytes())
";

/// Logs in a bucket of a local S3 server beside the same logs in a folder, in turn; then lake and
/// archive in the bucket as well, for its requests.
pub(super) fn beside_folders(lab: &Lab) -> Result<Vec<Figure>> {
    let folder = lab.workspace.scratch("s3")?;
    let logs = folder.join("logs");
    let events = generate(lab, &logs, "aws.cloudtrail", MEGABYTES, 5)?;
    let services = Running::start(&lab.workspace);
    let server = Server::new(&services)?;
    server.upload(lab, &logs)?;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let near = folder.join("near");
        let of_folder = ingest(lab, &near, &logs, 1, events)?.cpu_seconds;
        fs::remove_dir_all(&near)?;
        let far = folder.join("far");
        let (done, _) = server.drain(lab, &far, ("./lake", "./archive"), events)?;
        fs::remove_dir_all(&far)?;
        ratios.push(of_folder / done.usage.cpu_seconds);
    }
    ratios.sort_by(f64::total_cmp);
    let rate = ratios.get(ROUNDS / 2).copied().unwrap_or(f64::NAN);

    let more = folder.join("more");
    let events = events + generate(lab, &more, "aws.cloudtrail", MORE_MEGABYTES, 6)?;
    server.upload(lab, &more)?;
    let (lake, archive) = (server.url("lake"), server.url("archive"));
    let (done, summary) = server.drain(lab, &folder.join("whole"), (&lake, &archive), events)?;
    let archived = Requests::of(&done.stderr, "archive default")?;
    let puts = archived.puts + Requests::of(&done.stderr, "tables")?.puts;
    // One archive, one class, one thread: an epoch is a segment.
    let epochs = number(&summary, "segments")? as f64;
    let granted = number(&summary, "archived_bytes")?.div_ceil(BYTES_PER_PUT);
    fs::remove_dir_all(&folder)?;
    Ok(vec![
        Figure { name: "s3_rate_against_folder", value: rate, target: Target::AtLeast(0.8) },
        Figure {
            name: "s3_puts_per_epoch_and_table",
            value: puts.saturating_sub(granted) as f64 / (epochs * TABLES),
            target: Target::AtMost(3.0),
        },
        Figure {
            name: "s3_archive_requests_per_segment",
            value: archived.all as f64 / epochs,
            target: Target::AtMost(2.0),
        },
    ])
}

/// A bucket of the local S3 server.
struct Server<'a> {
    services: &'a Running,
    endpoint: &'a str,
    bucket: String,
}

impl<'a> Server<'a> {
    fn new(services: &'a Running) -> Result<Self> {
        let named = services.variables.iter().find(|(name, _)| *name == "LINCHPIN_TEST_S3");
        let (_, endpoint) = named.context("there is no S3 server")?;
        Ok(Self { services, endpoint, bucket: format!("linchpin-figures-{}", id()) })
    }

    /// Puts the files of a folder among the logs.
    fn upload(&self, lab: &Lab, folder: &Path) -> Result<()> {
        // The emulator of S3 brings a client for it.
        let python = tools::moto(&lab.workspace)?.with_file_name("python");
        let mut upload = Command::new(python);
        upload.envs(self.services.variables.iter().map(|(name, value)| (name, value)));
        measure(upload.args(["-c", UPLOAD, self.endpoint, &self.bucket]).arg(folder)).map(drop)
    }

    fn url(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.bucket)
    }

    /// Drains the bucket's logs into a new lake, with one thread, and makes sure that all went in.
    fn drain(
        &self,
        lab: &Lab,
        folder: &Path,
        (lake, archive): (&str, &str),
        events: u64,
    ) -> Result<(Finished, Value)> {
        let places = Places {
            from: &format!("{{ s3: {{ bucket: {}, prefix: logs/ }} }}", self.bucket),
            lake,
            archive,
            stores: &format!(
                "{{ s3: {{ endpoint: \"{}\", region: us-east-1, path_style: true }} }}",
                self.endpoint
            ),
        };
        let settings = Settings { logs: folder, threads: 1, flush: "64MiB" };
        let mut variables = self.services.variables.clone();
        variables.push(("LINCHPIN_LOG", "linchpin=info".to_owned()));
        let lake = Lake::at(lab, folder.to_owned(), places, settings, &variables)?;
        let (done, summary) = lake.drain()?;
        ensure!(number(&summary, "raw_events")? == events, "{events} events were generated, but: {summary}");
        Ok((done, summary))
    }
}

/// What a run logged of its requests for one purpose.
#[derive(Debug, PartialEq)]
struct Requests {
    puts: u64,
    all: u64,
}

impl Requests {
    fn of(log: &str, purpose: &str) -> Result<Self> {
        let purpose = format!("of=\"{purpose}\" ");
        let line = log.lines().find_map(|line| line.split_once(&purpose));
        let (_, fields) = line.with_context(|| format!("no requests were logged with {purpose}"))?;
        let count = |name: &str| -> Option<u64> {
            let field = fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            field?.parse().ok()
        };
        let counts: Option<Vec<u64>> =
            ["put", "get", "head", "list", "delete"].map(count).into_iter().collect();
        let counts = counts.with_context(|| format!("requests cannot be read: {fields}"))?;
        Ok(Self { puts: counts[0], all: counts.iter().sum() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn requests_are_read_from_the_log() {
        let log = "2026 INFO other\n2026 INFO requests of=\"archive default\" put=7 get=1 head=2 list=3 delete=4 \
                   bytes_read=5 bytes_written=6\n";
        assert_eq!(Requests::of(log, "archive default").unwrap(), Requests { puts: 7, all: 17 });
        assert!(Requests::of(log, "tables").is_err());
        assert!(Requests::of("of=\"tables\" put=x", "tables").is_err());
    }
}
