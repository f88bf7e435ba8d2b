//! A deployment: everything a configuration file describes, checked and opened.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use linchpin_config::{Config, ConfigError, Diagnostic, Diagnostics, Feed, FeedFrom, suggestion};
use linchpin_normalize::Catalog;
use linchpin_tiering::{
    Lake,
    archive::PolicyRef,
    policy::{
        self, PolicyPlace, Predicate, PredicateError, RetentionClass, RetentionPolicy, RetentionRule, Risk,
    },
    signing::Signer,
};

use crate::{exit::Failure, inventory, verbs::sources};

/// A checked configuration with everything compiled that needs no IO.
pub(crate) struct Deployment {
    pub config: Config,
    pub catalog: Arc<Catalog>,
    pub policy: Arc<RetentionPolicy>,
    /// What rules and outputs see beside an event.
    pub risk: Risk,
    /// For each rule, the outputs (by index) that get its events, where it names some; `None` if no rule
    /// does.
    pub rule_outputs: Option<Vec<Option<Vec<usize>>>>,
    /// For each output of the configuration, its compiled `when`.
    pub output_when: Vec<Option<Predicate>>,
}

impl Deployment {
    /// Loads and checks a configuration file; every fault is reported at once.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let config = Config::load(path).map_err(|error| match error {
            ConfigError::Unreadable { .. } | ConfigError::Invalid(_) => Failure::usage(error),
        })?;
        let folder = config.mappings.as_ref().map(|folder| folder.0.as_path());
        let catalog = Arc::new(sources::catalog(folder)?);
        let risk = inventory::load(&config.context).map_err(Failure::usage)?;
        let mut faults = Vec::new();
        let policy = compile_policy(&config, &mut faults);
        let output_when = compile_outputs(&config, &mut faults);
        check_sources(&config, &catalog, &mut faults);
        match policy {
            Some(policy) if faults.is_empty() => {
                let rule_outputs = rule_outputs(&config);
                Ok(Self { config, catalog, policy: Arc::new(policy), risk, rule_outputs, output_when })
            }
            _ => {
                faults.sort_by_key(|d| (d.line, d.column));
                Err(Failure::usage(Diagnostics(faults)))
            }
        }
    }

    /// Opens the lake and the archives to read them.
    pub(crate) async fn lake(&self) -> Result<Lake> {
        let archives = self.config.archives.value.iter();
        let archives = archives.map(|(name, place)| (name.value.as_str(), place));
        Lake::open(&self.config.lake, archives, &self.config.stores).await.map_err(Failure::environment)
    }

    /// Opens the lake and the archives to write as well, which not every store is fit for.
    pub(crate) async fn lake_to_write(&self) -> Result<Lake> {
        let lake = self.lake().await?;
        lake.probe().await.map_err(Failure::environment)?;
        Ok(lake)
    }

    /// The key that signs what is applied and deleted.
    pub(crate) fn signer(&self) -> Result<Signer> {
        Signer::open(self.config.signing.as_ref(), &self.config.lake).map_err(Failure::environment)
    }

    /// Names of the archives, in the order of the configuration.
    pub(crate) fn archives(&self) -> Arc<[Arc<str>]> {
        self.config.archives.value.iter().map(|(name, _)| Arc::from(name.value.as_str())).collect()
    }

    /// The text of the retention policy, in one form whatever the file's layout, and its hash.
    pub(crate) fn policy_text(&self) -> (String, [u8; 32]) {
        let text = policy::text(&self.config.retention);
        let hash = policy::hash(&text);
        (text, hash)
    }

    /// Name and hash of the policy, as segments carry it.
    pub(crate) fn policy_ref(&self) -> PolicyRef {
        let (_, hash) = self.policy_text();
        PolicyRef { name: self.config.name.as_str().to_owned(), hash: hex(&hash) }
    }
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = vec![0; bytes.len() * 2];
    linchpin_normalize::unit::hex_into(bytes, &mut out);
    out.into_iter().map(char::from).collect()
}

fn compile_policy(config: &Config, faults: &mut Vec<Diagnostic>) -> Option<RetentionPolicy> {
    let retention = &config.retention;
    let classes = RetentionClass::all(retention);
    let rules = RetentionRule::all(retention);
    match RetentionPolicy::compile(&classes, &rules) {
        Ok(policy) => Some(policy),
        Err(found) => {
            for fault in found {
                let rule = |n: usize| retention.rules.value.get(n);
                let PredicateError { message, offset, hint } = fault.error;
                let diagnostic = match fault.place {
                    PolicyPlace::When(n) if rule(n).is_some_and(|r| r.when.is_some()) => {
                        let when = rule(n).and_then(|r| r.when.as_ref());
                        when.map(|when| {
                            config.fault(when, offset.map(|o| word_at(&when.value, o)), message, hint)
                        })
                    }
                    PolicyPlace::Rule(n) | PolicyPlace::When(n) => {
                        rule(n).map(|r| config.source.diagnostic(r.name.span, &r.name.value, message, hint))
                    }
                    PolicyPlace::Class(n) => retention.classes.value.iter().nth(n).map(|(name, _)| {
                        config.source.diagnostic(name.span, name.value.as_str(), message, hint)
                    }),
                    PolicyPlace::Policy => {
                        Some(config.source.diagnostic(retention.rules.span, "", message, hint))
                    }
                };
                faults.extend(diagnostic);
            }
            None
        }
    }
}

fn rule_outputs(config: &Config) -> Option<Vec<Option<Vec<usize>>>> {
    let index = |name: &str| config.outputs.iter().position(|output| output.name.value.as_str() == name);
    let of = |rule: &linchpin_config::Rule| {
        let names = rule.outputs.as_ref()?;
        Some(names.iter().filter_map(|name| index(name.value.as_str())).collect())
    };
    let rules: Vec<Option<Vec<usize>>> = config.retention.rules.value.iter().map(of).collect();
    rules.iter().any(Option::is_some).then_some(rules)
}

fn compile_outputs(config: &Config, faults: &mut Vec<Diagnostic>) -> Vec<Option<Predicate>> {
    let compile = |output: &linchpin_config::Output| {
        let when = output.when.as_ref()?;
        match Predicate::compile(&when.value, policy::rule_schema()) {
            Ok(predicate) => Some(predicate),
            Err(PredicateError { message, offset, hint }) => {
                let range = offset.map(|o| word_at(&when.value, o));
                faults.push(config.fault(when, range, message, hint));
                None
            }
        }
    };
    config.outputs.iter().map(compile).collect()
}

/// The word or symbol of a predicate that starts at a byte.
pub(crate) fn word_at(text: &str, start: usize) -> std::ops::Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    start..start + word.max(rest.chars().next().map_or(0, char::len_utf8))
}

/// Sources must exist, and feeds and outputs be of kinds that this build serves.
fn check_sources(config: &Config, catalog: &Catalog, faults: &mut Vec<Diagnostic>) {
    let names: Vec<&str> = catalog.plans().iter().map(|p| &*p.name).chain(["auto"]).collect();
    for feed in &config.feeds.value {
        if let Some(source) = feed.source.as_ref().filter(|s| !names.contains(&s.value.as_str())) {
            let hint = suggestion(&source.value, names.iter().copied());
            let message = format!("no source `{}`", source.value);
            faults.push(config.source.diagnostic(source.span, &source.value, message, hint));
        }
        if let Some((message, hint)) = unserved(feed) {
            let name = &feed.name;
            let hint = Some(hint.to_owned());
            faults.push(config.source.diagnostic(name.span, name.value.as_str(), message, hint));
        }
    }
}

/// What a feed asks for that this build does not do, and what to write instead.
fn unserved(feed: &Feed) -> Option<(String, &'static str)> {
    let name = feed.name.value.as_str();
    let queue =
        |key: &str| format!("feed `{name}` has a `{key}`, but this build finds objects by listing only");
    match &feed.from {
        FeedFrom::S3(from) if from.queue.is_some() => Some((queue("queue"), "leave `queue` out")),
        FeedFrom::AzureBlob(from) if from.queue.is_some() => Some((queue("queue"), "leave `queue` out")),
        FeedFrom::Gcs(from) if from.subscription.is_some() => {
            Some((queue("subscription"), "leave `subscription` out"))
        }
        FeedFrom::Files(_) | FeedFrom::S3(_) | FeedFrom::AzureBlob(_) | FeedFrom::Gcs(_) => None,
        FeedFrom::Kafka(_) | FeedFrom::Syslog(_) => Some((
            format!("feed `{name}` uses a transport that this build does not have"),
            "this build reads folders and buckets: `files`, `s3`, `azure_blob` or `gcs`",
        )),
    }
}
