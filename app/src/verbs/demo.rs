//! `linchpin demo`: the whole way on one folder, without an account or a network.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use jiff::Timestamp;
use linchpin_config::ByteSize;
use linchpin_tiering::ledger::SegmentFilter;

use crate::{
    deployment::Deployment,
    exit::Failure,
    generate::{AttackStory, Options, Written},
    pipeline::{self, Summary},
    progress::Progress,
    table::{self, Table},
};

/// Length of the demo's logs, in milliseconds: the day until now.
const SPAN_MS: i64 = 86_400_000;
/// File of the configuration in the demo's folder.
const CONFIG: &str = "linchpin.yaml";

/// The demo's configuration.
const CONFIG_TEXT: &str = r#"# The configuration of `linchpin demo`. Paths are relative to this file.
name: demo
lake: ./data/lake
archives: { default: ./data/archive }
feeds:
  - { name: aws, from: { files: ./logs/aws } }
  - { name: azure, from: { files: ./logs/azure } }
  - { name: gcp, from: { files: ./logs/gcp } }
retention:
  classes:
    critical: { hot: 400d, archive: { class: glacier_ir, after: 7d, move: { deep_archive: 180d } }, expire: 7y, lock: compliance }
    standard: { hot: 90d, archive: { class: deep_archive, after: 7d }, expire: 3y }
    bulk: { hot: 7d, archive: { class: deep_archive, after: 3d }, expire: 400d }
  rules:
    - { name: identity and control plane, when: "class_uid IN (3001, 3002, 3003, 3005) OR actor_user_type = 'Root'", class: critical }
    - { name: allowed internal flows, when: "class_uid = 4001 AND activity_id = 6 AND dst_is_internal", class: bulk }
    - { name: everything else, class: standard }
outputs:
  - name: alerts
    when: "severity_id >= 3 OR class_uid IN (3001, 3005)"
    to: { ndjson: ./data/alerts }
"#;

/// Try everything on one folder: logs of three clouds with an attack hidden in them.
///
/// Generates the logs of the last day, runs the pipeline once, and prints what it did and what to try
/// next. No account, no network.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  linchpin demo\n  linchpin demo --dir /tmp/demo --bytes 256MiB")]
pub(crate) struct DemoArgs {
    /// Folder to work in
    #[arg(long, value_name = "DIR", default_value = "linchpin-demo")]
    pub dir: PathBuf,
    /// Raw bytes of logs, about
    #[arg(long, value_name = "SIZE", default_value = "32MiB")]
    pub bytes: ByteSize,
}

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let config = args.dir.join(CONFIG);
    if config.exists() {
        let message = format!(
            "`{}` exists already\nhint: name another folder with `--dir`, or remove it",
            config.display()
        );
        return Err(Failure::usage(anyhow!(message)));
    }
    let start =
        Timestamp::from_millisecond(super::generate::starting(SPAN_MS)).map_err(Failure::environment)?;
    let options = Options::new(args.dir.join("logs"), args.bytes.0, seed(), start);
    let written = super::generate::write(&options)?;
    fs::write(&config, CONFIG_TEXT)
        .with_context(|| format!("cannot write `{}`", config.display()))
        .map_err(Failure::environment)?;
    let progress = Progress::new();
    let say = |s: &Summary| {
        progress.say(&format!("run: {} events, {}", table::count(s.raw_events), table::bytes(s.raw_bytes)));
    };
    let summary = pipeline::run_once(Deployment::load(&config)?, say)?;
    progress.done();
    let classes = classes(&config)?;
    Ok(report(&config, &written, &summary, &classes, &mut io::stdout().lock())?)
}

/// Other logs each time, so that a demo is not always of the same company.
fn seed() -> u64 {
    Timestamp::now().as_millisecond().unsigned_abs()
}

/// What each retention class holds.
fn classes(config: &Path) -> Result<Table> {
    let deployment = Deployment::load(config)?;
    let (hot, segments) = super::runtime()?.block_on(async {
        let lake = deployment.lake().await?;
        let hot = lake.hot.stats().await.map_err(Failure::environment)?;
        Ok::<_, anyhow::Error>((hot, lake.ledger.segments(&SegmentFilter::default())))
    })?;
    let mut table = Table::new(["CLASS", "RAW EVENTS", "RAW", "ARCHIVED", "HOT ROWS", "HOT"]);
    for (name, _) in &deployment.config.retention.classes.value {
        let name = name.value.as_str();
        let of_class = segments.iter().filter(|s| s.fact.retention == name).map(|s| &s.fact);
        let sum = |of: fn(&linchpin_tiering::ledger::SegmentFact) -> u64| {
            of_class.clone().map(|f| of(f)).sum::<u64>()
        };
        let hot = || hot.iter().filter(|((class, _), _)| class == name).map(|(_, stats)| stats);
        table.row([
            name.to_owned(),
            table::count(sum(|f| f.events)),
            table::bytes(sum(|f| f.raw_bytes)),
            table::bytes(sum(|f| f.stored_bytes)),
            table::count(hot().map(|h| h.rows).sum()),
            table::bytes(hot().map(|h| h.bytes).sum()),
        ]);
    }
    Ok(table)
}

fn report(
    config: &Path,
    written: &Written,
    summary: &Summary,
    classes: &Table,
    out: &mut dyn Write,
) -> io::Result<()> {
    super::generate::by_source(written).print(out)?;
    writeln!(out)?;
    classes.print(out)?;
    writeln!(
        out,
        "\n{} raw in {} files ({} as delivered) became {} of archive in {} segments\nand {} of hot table: {} rows, {} rejects, in {:.1} s.",
        table::bytes(summary.raw_bytes),
        table::count(written.files),
        table::bytes(written.stored_bytes),
        table::bytes(summary.archived_bytes),
        table::count(summary.segments),
        table::bytes(summary.hot_bytes),
        table::count(summary.events),
        table::count(summary.rejects),
        summary.seconds
    )?;
    let Some(story) = &written.attack else { return Ok(()) };
    writeln!(
        out,
        "\nHidden in it: the access key {} of {} leaked; somebody at {} used it.\nTry next:",
        story.leaked_key, story.user, story.ip
    )?;
    next(config, story).iter().try_for_each(|command| writeln!(out, "\n  {command}"))
}

/// Three commands that find the attack, bring its raw events back and check the evidence.
fn next(config: &Path, story: &AttackStory) -> [String; 3] {
    let program = std::env::args_os()
        .next()
        .map_or_else(|| "linchpin".to_owned(), |name| name.to_string_lossy().into_owned());
    let raw = quoted(&config.with_file_name("leaked-key.jsonl").display().to_string());
    let (program, config) = (quoted(&program), quoted(&config.display().to_string()));
    let (ip, key) = (&story.ip, &story.leaked_key);
    [
        format!(
            "{program} search -c {config} \"SELECT time, source, api_operation, actor_user_name, traffic_bytes FROM events WHERE src_endpoint_ip = '{ip}' OR dst_endpoint_ip = '{ip}' ORDER BY time LIMIT 30\""
        ),
        format!(
            "{program} rehydrate -c {config} --where \"actor_user_credential_uid = '{key}'\" --out {raw}"
        ),
        format!("{program} verify -c {config}"),
    ]
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        for (word, expected) in
            [("a/b-c.yaml", "a/b-c.yaml"), ("my demo", "'my demo'"), ("it's", r"'it'\''s'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn the_configuration_of_the_demo_is_valid() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = dir.path().join(CONFIG);
        fs::write(&config, CONFIG_TEXT).expect("a file");
        if let Err(error) = Deployment::load(&config) {
            panic!("{error:#}");
        }
    }
}
