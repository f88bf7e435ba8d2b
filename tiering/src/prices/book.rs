//! The book: reading and checking it, and pricing with it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use linchpin_config::{ByteSize, Config, ConfigError, Diagnostic, Diagnostics, Entries, LocalPath, Located};
use serde::Deserialize;

use super::{DAY_MS, GB, MONTH_MS, Op, Provider, Speed, Stay};
use crate::tiers;

/// Requests that one price is for.
const REQUESTS: f64 = 1000.0;

/// The built-in book.
const DEFAULT: &str = include_str!("default.yaml");

/// Prices of stores and SIEMs on a day.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    /// Day of the prices, as text.
    pub date: String,
    /// Currency of all amounts.
    pub currency: String,
    stores: Stores,
    #[serde(default)]
    siems: Entries<String, Siem>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stores {
    s3: Located<StorePrices>,
    azure: Located<StorePrices>,
    gcs: Located<StorePrices>,
    #[serde(default)]
    local: Located<StorePrices>,
}

/// Prices of a provider.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorePrices {
    /// 1,000 requests that list or set properties.
    pub list: f64,
    /// A gigabyte that leaves the provider.
    pub egress: f64,
    /// Storage classes by the provider's word; the first one is where objects begin.
    classes: Entries<String, ClassPrices>,
}

/// Prices of a storage class.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassPrices {
    /// A gigabyte for a month.
    pub storage: f64,
    /// 1,000 requests that write.
    pub put: f64,
    /// 1,000 requests that read.
    pub get: f64,
    /// 1,000 objects moved into the class.
    #[serde(rename = "move")]
    pub move_in: f64,
    /// A gigabyte read without a restore.
    #[serde(default)]
    pub read: f64,
    /// Restores by their speed; a class without any can be read at once.
    #[serde(default)]
    restore: BTreeMap<Speed, Restoring>,
    /// A younger object is paid for as if it were that old, in days.
    #[serde(default)]
    pub min_days: u32,
    /// A smaller object is paid for as if it were that large.
    #[serde(default)]
    min_size: ByteSize,
    /// Bytes added to each object, at the price of the class.
    #[serde(default)]
    overhead: ByteSize,
    /// Bytes added to each object, at the price of the first class.
    #[serde(default)]
    index: ByteSize,
    /// 1,000 objects watched for a month.
    #[serde(default)]
    pub objects: f64,
}

/// Prices of a restore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restoring {
    /// 1,000 requests.
    pub request: f64,
    /// A gigabyte.
    pub gb: f64,
    /// Hours until it can be read, at most.
    pub hours: f64,
}

/// Prices of a SIEM.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Siem {
    /// A gigabyte taken in.
    pub ingest: f64,
    /// A gigabyte kept for a month.
    pub keep: f64,
}

impl Book {
    /// The built-in book.
    pub fn builtin() -> Result<Self, Diagnostics> {
        Self::parse("prices/default.yaml", DEFAULT)
    }

    /// The book of a deployment: its own, or the built-in one.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        match &config.prices {
            Some(LocalPath(path)) => Self::load(path),
            None => Ok(Self::builtin()?),
        }
    }

    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = linchpin_config::read_file(path)?;
        Ok(Self::parse(&path.display().to_string(), &text)?)
    }

    /// Checks a text; `file` is its name in diagnostics.
    pub fn parse(file: &str, text: &str) -> Result<Self, Diagnostics> {
        let book: Self = linchpin_config::parse(file, text)?;
        let faults: Vec<Diagnostic> = book.faults(file, text);
        if faults.is_empty() { Ok(book) } else { Err(Diagnostics(faults)) }
    }

    /// Every class that a policy can name must have a price: one that is missing would be free.
    fn faults(&self, file: &str, text: &str) -> Vec<Diagnostic> {
        let source = linchpin_config::SourceText::new(PathBuf::from(file).display().to_string(), text);
        let mut faults = Vec::new();
        for provider in Provider::ALL.into_iter().filter(|p| *p != Provider::Local) {
            let store = self.located(provider);
            for word in tiers::words(provider) {
                if store.value.classes.get(word).is_none() {
                    let message = format!("the store `{}` has no prices of `{word}`", provider.name());
                    let hint = "copy what is missing from the book that `linchpin plan --prices` prints";
                    faults.push(source.diagnostic(store.span, "", message, Some(hint.to_owned())));
                }
            }
            for (name, prices) in &store.value.classes {
                if let Some(amount) = prices.amounts().into_iter().find(|a| !a.is_finite() || *a < 0.0) {
                    let message = format!("`{amount}` is not a price of `{}`", name.value);
                    faults.push(source.diagnostic(name.span, &name.value, message, None));
                }
            }
        }
        faults
    }

    /// The text of the built-in book, for people who want to change it.
    pub const fn default_text() -> &'static str {
        DEFAULT
    }

    fn located(&self, provider: Provider) -> &Located<StorePrices> {
        match provider {
            Provider::S3 => &self.stores.s3,
            Provider::Azure => &self.stores.azure,
            Provider::Gcs => &self.stores.gcs,
            Provider::Local => &self.stores.local,
        }
    }

    /// Prices of a provider.
    pub fn store(&self, provider: Provider) -> &StorePrices {
        &self.located(provider).value
    }

    /// Prices of a storage class in the provider's word. What the book does not have is free: that is
    /// only so for folders, as every other word that a policy can give is checked when it is read.
    pub fn class(&self, provider: Provider, word: &str) -> &ClassPrices {
        static FREE: LazyLock<ClassPrices> = LazyLock::new(ClassPrices::default);
        self.store(provider).classes.get(word).unwrap_or(&FREE)
    }

    /// What an object of `bytes` costs that is in a class for `stay_ms` and then leaves it.
    pub fn stay(&self, provider: Provider, word: &str, bytes: u64, stay_ms: i64) -> Stay {
        Stay {
            storage: self.storage(provider, word, bytes, stay_ms),
            early: self.early(provider, word, bytes, stay_ms),
        }
    }

    /// What an object of `bytes` costs for being in a class for `ms`, with what it costs to be small.
    pub fn storage(&self, provider: Provider, word: &str, bytes: u64, ms: i64) -> f64 {
        let class = self.class(provider, word);
        let months = ms.max(0) as f64 / MONTH_MS as f64;
        let gb = |bytes: u64| bytes as f64 / GB;
        let own = gb(bytes.max(class.min_size.0) + class.overhead.0) * class.storage;
        let first = self.store(provider).classes.iter().next().map_or(0.0, |(_, first)| first.storage);
        (own + gb(class.index.0) * first + class.objects / REQUESTS) * months
    }

    /// What leaving a class after `stay_ms` costs: the rest of its minimum duration.
    pub fn early(&self, provider: Provider, word: &str, bytes: u64, stay_ms: i64) -> f64 {
        let class = self.class(provider, word);
        let rest = i64::from(class.min_days) * DAY_MS - stay_ms.max(0);
        let months = rest.max(0) as f64 / MONTH_MS as f64;
        bytes.max(class.min_size.0) as f64 / GB * class.storage * months
    }

    /// What requests to objects of a class cost.
    pub fn requests(&self, provider: Provider, word: &str, op: Op, count: f64) -> f64 {
        let class = self.class(provider, word);
        let price = match op {
            Op::Put => class.put,
            Op::Get => class.get,
            Op::List => self.store(provider).list,
            Op::Move => class.move_in,
            Op::Delete => 0.0,
        };
        price * count / REQUESTS
    }

    /// What reading so many bytes costs, beside the requests, where a class can be read at once.
    pub fn read(&self, provider: Provider, word: &str, bytes: f64) -> f64 {
        self.class(provider, word).read * bytes / GB
    }

    /// What restoring objects costs; `None` if the class has no such restore.
    pub fn restore(
        &self,
        provider: Provider,
        word: &str,
        speed: Speed,
        objects: f64,
        bytes: f64,
    ) -> Option<f64> {
        let prices = self.class(provider, word).restore(speed)?;
        Some(prices.request * objects / REQUESTS + prices.gb * bytes / GB)
    }

    /// What bytes cost that leave the provider.
    pub fn egress(&self, provider: Provider, bytes: f64) -> f64 {
        self.store(provider).egress * bytes / GB
    }

    /// The SIEMs of the book by name.
    pub fn siems(&self) -> impl Iterator<Item = (&str, &Siem)> {
        self.siems.iter().map(|(name, siem)| (name.value.as_str(), siem))
    }
}

impl ClassPrices {
    /// Prices and duration of a restore; `None` if the class has none of that speed.
    pub fn restore(&self, speed: Speed) -> Option<Restoring> {
        self.restore.get(&speed).copied()
    }

    /// Whether reads need a restore.
    pub fn is_archive(&self) -> bool {
        !self.restore.is_empty()
    }

    fn amounts(&self) -> Vec<f64> {
        let own = [self.storage, self.put, self.get, self.move_in, self.read, self.objects];
        let restores = self.restore.values().flat_map(|r| [r.request, r.gb, r.hours]);
        own.into_iter().chain(restores).collect()
    }
}
