//! A deployment: everything a configuration file describes, checked and opened.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::Result;
use linchpin_config::{Config, ConfigError, Diagnostic, Diagnostics, Feed, FeedFrom, suggestion};
use linchpin_normalize::Catalog;
use linchpin_tiering::{
    Lake,
    archive::PolicyRef,
    policy::{self, PolicyPlace, Predicate, PredicateError, RetentionClass, RetentionPolicy, RetentionRule},
};
use sha2::{Digest, Sha256};

use crate::{exit::Failure, verbs::sources};

/// A checked configuration with everything compiled that needs no IO.
pub(crate) struct Deployment {
    pub config: Config,
    pub catalog: Arc<Catalog>,
    pub policy: Arc<RetentionPolicy>,
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
        let mut faults = Vec::new();
        let policy = compile_policy(&config, &mut faults);
        let output_when = compile_outputs(&config, &mut faults);
        check_sources(&config, &catalog, &mut faults);
        match policy {
            Some(policy) if faults.is_empty() => {
                Ok(Self { config, catalog, policy: Arc::new(policy), output_when })
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

    /// Names of the archives, in the order of the configuration.
    pub(crate) fn archives(&self) -> Arc<[Arc<str>]> {
        self.config.archives.value.iter().map(|(name, _)| Arc::from(name.value.as_str())).collect()
    }

    /// The text of the retention policy, in one form whatever the file's layout, and its hash.
    pub(crate) fn policy_text(&self) -> (String, [u8; 32]) {
        let retention = &self.config.retention;
        let classes: BTreeMap<_, _> = retention
            .classes
            .value
            .iter()
            .map(|(name, class)| {
                let kept = serde_json::json!({ "hot": class.hot.value.to_string(), "expire": class.expire.value.to_string() });
                (name.value.as_str().to_owned(), kept)
            })
            .collect();
        let rules: Vec<_> = retention
            .rules
            .value
            .iter()
            .map(|rule| {
                let when = rule.when.as_ref().map(|w| w.value.as_str());
                serde_json::json!({ "name": rule.name.value, "when": when, "class": rule.class.value.as_str() })
            })
            .collect();
        let text = serde_json::json!({ "classes": classes, "rules": rules }).to_string();
        let hash = Sha256::digest(text.as_bytes()).into();
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
    let classes: Vec<RetentionClass> = retention
        .classes
        .value
        .iter()
        .map(|(name, class)| RetentionClass {
            name: name.value.as_str().to_owned(),
            hot: class.hot.value.0,
            expire: class.expire.value.0,
        })
        .collect();
    let rules: Vec<RetentionRule> = retention
        .rules
        .value
        .iter()
        .map(|rule| RetentionRule {
            name: rule.name.value.clone(),
            when: rule.when.as_ref().map(|w| w.value.clone()),
            class: rule.class.value.as_str().to_owned(),
        })
        .collect();
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

fn compile_outputs(config: &Config, faults: &mut Vec<Diagnostic>) -> Vec<Option<Predicate>> {
    let compile = |output: &linchpin_config::Output| {
        let when = output.when.as_ref()?;
        match Predicate::compile(&when.value, policy::schema()) {
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
