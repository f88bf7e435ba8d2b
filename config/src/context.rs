//! What is known of accounts, identities and data beside the logs: small tables in CSV or YAML files that
//! retention rules see as columns.
//!
//! A CSV file has a header line; a YAML file is a list of records with the same keys. Names are compared
//! as they are written, and `*` in the name of an identity or a resource stands for any characters.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostics, SourceText, Span};
use crate::place::LocalPath;
use crate::root::{ConfigError, read_file};

/// Most records in one file.
pub const RECORDS_MAX: usize = 50_000;

/// Files that say what accounts, identities and data are worth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextFiles {
    /// Accounts, subscriptions and projects: `account`, `criticality` and tags.
    pub accounts: Option<LocalPath>,
    /// Identities: `identity` (`*` for any characters) and `privilege`.
    pub identities: Option<LocalPath>,
    /// Data: `resource` (`*` for any characters) and `classification`.
    pub data: Option<LocalPath>,
}

/// What the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Accounts, in the order of their file; the first of a name counts.
    pub accounts: Vec<Account>,
    /// Identities; the first that matches counts.
    pub identities: Vec<IdentityRule>,
    /// Resources; the first that matches counts.
    pub data: Vec<DataRule>,
}

/// An account, subscription or project.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its id, as logs give it.
    pub account: String,
    /// How much depends on it, in the user's word.
    #[serde(default)]
    pub criticality: String,
    /// What else is known of it.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// The privilege of identities.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityRule {
    /// Name or id of an identity; `*` stands for any characters.
    pub identity: String,
    /// What it may do, in the user's word.
    pub privilege: String,
}

/// The classification of data.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRule {
    /// Name or id of a resource; `*` stands for any characters.
    pub resource: String,
    /// How its data is classified, in the user's word.
    pub classification: String,
}

impl ContextFiles {
    /// The files that are given.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.accounts, &self.identities, &self.data].into_iter().flatten().map(|path| path.0.as_path())
    }

    /// Reads them all.
    pub fn load(&self) -> Result<Inventory, ConfigError> {
        Ok(Inventory {
            accounts: records(self.accounts.as_ref(), account)?,
            identities: records(self.identities.as_ref(), |row| {
                Ok(IdentityRule { identity: row.take("identity")?, privilege: row.take("privilege")? })
            })?,
            data: records(self.data.as_ref(), |row| {
                Ok(DataRule { resource: row.take("resource")?, classification: row.take("classification")? })
            })?,
        })
    }
}

/// A line of a CSV file by the names of its header, without the empty fields.
struct Row(BTreeMap<String, String>);

impl Row {
    fn take(&mut self, name: &str) -> Result<String, String> {
        self.0.remove(name).ok_or_else(|| format!("the column `{name}` is missing or empty"))
    }
}

/// Columns that an account file has no name for are tags.
fn account(row: &mut Row) -> Result<Account, String> {
    let account = row.take("account")?;
    let criticality = row.take("criticality").unwrap_or_default();
    let listed = row.take("tags").unwrap_or_default();
    let mut tags = std::mem::take(&mut row.0);
    for tag in listed.split(';').map(str::trim).filter(|tag| !tag.is_empty()) {
        let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
        tags.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(Account { account, criticality, tags })
}

fn records<T: DeserializeOwned>(
    path: Option<&LocalPath>,
    from_row: impl Fn(&mut Row) -> Result<T, String>,
) -> Result<Vec<T>, ConfigError> {
    let Some(LocalPath(path)) = path else { return Ok(Vec::new()) };
    let (file, text) = (path.display().to_string(), read_file(path)?);
    let csv = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let records = if csv { from_csv(&file, &text, from_row) } else { crate::yaml::parse(&file, &text) }?;
    if records.len() > RECORDS_MAX {
        let message = format!("the file has {} records; the most is {RECORDS_MAX}", records.len());
        return Err(fault(&file, &text, 1, message).into());
    }
    Ok(records)
}

fn from_csv<T>(
    file: &str,
    text: &str,
    from_row: impl Fn(&mut Row) -> Result<T, String>,
) -> Result<Vec<T>, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let wrong = |error: &csv::Error| {
        let line = error.position().map_or(1, csv::Position::line) as u32;
        fault(file, text, line, error.to_string())
    };
    let header = reader.headers().map_err(|e| wrong(&e))?.clone();
    let mut records = Vec::new();
    for line in reader.records() {
        let line = line.map_err(|e| wrong(&e))?;
        let fields = header.iter().zip(&line).filter(|(_, value)| !value.is_empty());
        let mut row = Row(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        if row.0.is_empty() {
            continue;
        }
        let record = from_row(&mut row).and_then(|record| match row.0.keys().next() {
            None => Ok(record),
            Some(name) => Err(format!("unknown column `{name}`")),
        });
        records.push(record.map_err(|message| {
            let at = line.position().map_or(1, csv::Position::line) as u32;
            fault(file, text, at, message)
        })?);
    }
    Ok(records)
}

fn fault(file: &str, text: &str, line: u32, message: String) -> Diagnostics {
    let source = SourceText::new(file, text);
    Diagnostics(vec![source.diagnostic(Span { line, column: 1 }, "", message, None)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn load(name: &str, text: &str) -> Result<Inventory, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let path = Some(LocalPath(path));
        let mut files = ContextFiles::default();
        match name.split('.').next().unwrap() {
            "accounts" => files.accounts = path,
            "identities" => files.identities = path,
            _ => files.data = path,
        }
        files.load().map_err(|e| e.to_string())
    }

    fn tags(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn csv_and_yaml_say_the_same() {
        let csv =
            "account,criticality,owner,tags\n111122223333,high,pay,\"env=prod; pci\"\n\n444455556666,,,\n";
        let yaml = "- { account: '111122223333', criticality: high, tags: { owner: pay, env: prod, pci: '' } }\n\
                    - { account: '444455556666' }\n";
        let read = load("accounts.csv", csv).unwrap();
        assert_eq!(read, load("accounts.yaml", yaml).unwrap());
        assert_eq!(read.accounts[0].tags, tags(&[("env", "prod"), ("owner", "pay"), ("pci", "")]));
        assert_eq!(read.accounts[1].criticality, "");
        let identities = load("identities.csv", "identity,privilege\n*/Admin*,admin\n").unwrap().identities;
        assert_eq!(identities[0].identity, "*/Admin*");
        let data = load("data.yaml", "- { resource: 'arn:aws:s3:::cards*', classification: pci }\n").unwrap();
        assert_eq!(data.data[0].classification, "pci");
    }

    #[test]
    fn faults_name_their_line() {
        for (name, text, message) in [
            (
                "accounts.csv",
                "account,criticality\n1,high\n,low\n",
                ":3:1: error: the column `account` is missing",
            ),
            ("identities.csv", "identity,privilege,x\na,b,c\n", ":2:1: error: unknown column `x`"),
            ("identities.csv", "identity,privilege\na\n", ":2:1: error: "),
            ("data.yaml", "- { resource: a }\n", "the key `classification` is missing"),
            ("data.yaml", "- { resource: a, classification: b, c: d }\n", "unknown key `c`"),
        ] {
            let error = load(name, text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
        let many = format!("identity,privilege\n{}", "a,b\n".repeat(RECORDS_MAX + 1));
        assert!(load("identities.csv", &many).unwrap_err().contains("the most is 50000"));
        let missing = ContextFiles { data: Some(LocalPath("no/such.csv".into())), ..Default::default() };
        assert!(missing.load().unwrap_err().to_string().contains("no/such.csv"));
    }
}
