//! What rules see beside an event: how critical its account is, what its identity may do, how its data
//! is classified, how severe a finding is.
//!
//! The tables come from files that people keep; they are read again when a file changes, so they are
//! behind a handle. An event keeps the class that the tables gave it when it came in.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, new_null_array},
    compute::{kernels::cmp::neq, nullif},
    datatypes::{DataType, Field, Int32Type, Schema, SchemaRef},
    error::ArrowError,
};
use linchpin_config::Inventory;
use linchpin_normalize::columns;
use rustc_hash::FxHashMap;

use super::schema;

/// Criticality of the account, subscription or project.
pub const ACCOUNT_CRITICALITY: &str = "account_criticality";
/// Tags of the account as `;name=value;name=value;`, by name.
pub const ACCOUNT_TAGS: &str = "account_tags";
/// Privilege of the acting identity.
pub const IDENTITY_PRIVILEGE: &str = "identity_privilege";
/// Classification of the data of the resource.
pub const DATA_CLASSIFICATION: &str = "data_classification";
/// Severity of a finding (`severity_id` of the OCSF category 2); NULL for other events.
pub const FINDING_SEVERITY: &str = "finding_severity_id";

/// OCSF category of findings.
const FINDINGS: i32 = 2;

/// The columns of the context, in the order of the batch.
const COLUMNS: [(&str, DataType); 5] = [
    (ACCOUNT_CRITICALITY, DataType::Utf8),
    (ACCOUNT_TAGS, DataType::Utf8),
    (IDENTITY_PRIVILEGE, DataType::Utf8),
    (DATA_CLASSIFICATION, DataType::Utf8),
    (FINDING_SEVERITY, DataType::Int32),
];

/// What rules may speak of: the linchpin columns, `feed` and the context.
pub fn rule_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = schema().fields().to_vec();
        fields.extend(COLUMNS.map(|(name, ty)| Arc::new(Field::new(name, ty, true))));
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

/// Tables of the context, ready to look up.
#[derive(Debug, Default)]
pub struct RiskTables {
    accounts: FxHashMap<String, (String, String)>,
    identities: Patterns,
    data: Patterns,
}

impl RiskTables {
    /// The tables of what files say.
    pub fn new(inventory: &Inventory) -> Self {
        let mut accounts = FxHashMap::default();
        for account in &inventory.accounts {
            let mut tags = String::new();
            for (name, value) in &account.tags {
                tags.extend([
                    if tags.is_empty() { ";" } else { "" },
                    name.as_str(),
                    "=",
                    value.as_str(),
                    ";",
                ]);
            }
            accounts.entry(account.account.clone()).or_insert((account.criticality.clone(), tags));
        }
        let identities = inventory.identities.iter().map(|rule| (&rule.identity, &rule.privilege));
        let data = inventory.data.iter().map(|rule| (&rule.resource, &rule.classification));
        Self { accounts, identities: Patterns::new(identities), data: Patterns::new(data) }
    }

    /// Rows of one feed (the linchpin columns) in the shape of [`rule_schema`]; no column is copied.
    pub fn rows(&self, rows: &RecordBatch, feed: &str) -> Result<RecordBatch, ArrowError> {
        let n = rows.num_rows();
        self.rows_of(rows, Arc::new(StringArray::from_iter_values(std::iter::repeat_n(feed, n))))
    }

    /// The same for rows of several feeds, whose names are a column.
    pub fn rows_of(&self, rows: &RecordBatch, feeds: ArrayRef) -> Result<RecordBatch, ArrowError> {
        let mut columns = rows.columns().to_vec();
        columns.push(feeds);
        let (criticality, tags) = self.accounts(rows);
        columns.extend([
            criticality,
            tags,
            self.identities.column(rows, ["actor_user_uid", "actor_user_name"]),
            self.data.column(rows, ["resource_uid", "resource_name"]),
            finding_severity(rows)?,
        ]);
        RecordBatch::try_new(rule_schema(), columns)
    }

    fn accounts(&self, rows: &RecordBatch) -> (ArrayRef, ArrayRef) {
        let n = rows.num_rows();
        let nothing = || new_null_array(&DataType::Utf8, n);
        let Some(ids) = text(rows, "cloud_account_uid").filter(|_| !self.accounts.is_empty()) else {
            return (nothing(), nothing());
        };
        let (mut criticality, mut tags) = (StringBuilder::new(), StringBuilder::new());
        for id in ids {
            let account = id.and_then(|id| self.accounts.get(id));
            criticality.append_option(account.map(|a| a.0.as_str()).filter(|text| !text.is_empty()));
            tags.append_option(account.map(|a| a.1.as_str()).filter(|text| !text.is_empty()));
        }
        (Arc::new(criticality.finish()), Arc::new(tags.finish()))
    }
}

/// A handle on the tables in force; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Risk(Arc<RwLock<Arc<RiskTables>>>);

impl Risk {
    /// A handle on the tables of what files say.
    pub fn new(inventory: &Inventory) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(RiskTables::new(inventory)))))
    }

    /// The tables now.
    pub fn now(&self) -> Arc<RiskTables> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other tables in force for all that comes in from now on.
    pub fn replace(&self, inventory: &Inventory) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(RiskTables::new(inventory));
    }
}

/// Names with what they stand for: exact ones by hash, the others tried in order.
#[derive(Debug, Default)]
struct Patterns {
    exact: FxHashMap<String, (usize, String)>,
    globs: Vec<(usize, String, String)>,
}

impl Patterns {
    fn new<'a>(rules: impl Iterator<Item = (&'a String, &'a String)>) -> Self {
        let mut patterns = Self::default();
        for (n, (name, value)) in rules.enumerate() {
            if name.contains('*') {
                patterns.globs.push((n, name.clone(), value.clone()));
            } else {
                patterns.exact.entry(name.clone()).or_insert_with(|| (n, value.clone()));
            }
        }
        patterns
    }

    /// The value of the first rule that any of the names matches.
    fn find(&self, names: &[Option<&str>]) -> Option<&str> {
        let names = || names.iter().copied().flatten();
        let exact = names().filter_map(|name| self.exact.get(name)).min_by_key(|(n, _)| *n);
        let before = exact.map_or(usize::MAX, |(n, _)| *n);
        let earlier = self.globs.iter().take_while(|(n, ..)| *n < before);
        let glob = earlier.into_iter().find(|(_, glob, _)| names().any(|name| matches(glob, name)));
        glob.map(|(.., value)| value.as_str()).or(exact.map(|(_, value)| value.as_str()))
    }

    fn column(&self, rows: &RecordBatch, names: [&str; 2]) -> ArrayRef {
        let [Some(a), Some(b)] = names.map(|name| text(rows, name)) else {
            return new_null_array(&DataType::Utf8, rows.num_rows());
        };
        if self.exact.is_empty() && self.globs.is_empty() {
            return new_null_array(&DataType::Utf8, rows.num_rows());
        }
        // Few identities and resources make most of a batch.
        let mut seen: FxHashMap<(Option<&str>, Option<&str>), Option<&str>> = FxHashMap::default();
        let values = a.iter().zip(b).map(|(a, b)| *seen.entry((a, b)).or_insert_with(|| self.find(&[a, b])));
        Arc::new(values.collect::<StringArray>())
    }
}

/// Whether `*` as any characters makes a pattern a name.
fn matches(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn text<'a>(rows: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    rows.column(columns::index(name)?).as_string_opt::<i32>()
}

fn finding_severity(rows: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    let column = |name| columns::index(name).map(|at| rows.column(at));
    let (Some(severity), Some(category)) = (column("severity_id"), column("category_uid")) else {
        return Ok(new_null_array(&DataType::Int32, rows.num_rows()));
    };
    let findings = arrow::array::Int32Array::new_scalar(FINDINGS);
    nullif(severity, &neq(category.as_primitive::<Int32Type>(), &findings)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use linchpin_config::{Account, DataRule, IdentityRule};

    use super::*;
    use crate::{policy::Predicate, sample};

    fn inventory() -> Inventory {
        let account = |id: &str, criticality: &str, tags: &[(&str, &str)]| Account {
            account: id.into(),
            criticality: criticality.into(),
            tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let identity = |identity: &str, privilege: &str| IdentityRule {
            identity: identity.into(),
            privilege: privilege.into(),
        };
        Inventory {
            accounts: vec![
                account("111122223333", "critical", &[("owner", "pay"), ("env", "prod")]),
                account("444455556666", "", &[]),
            ],
            identities: vec![identity("*/admin*", "admin"), identity("ann", "owner"), identity("*", "user")],
            data: vec![DataRule { resource: "arn:aws:s3:::cards*".into(), classification: "pci".into() }],
        }
    }

    fn json_rows(lines: &[&str]) -> RecordBatch {
        sample::json_rows(&lines.join("\n"))
    }

    const LINES: &[&str] = &[
        r#"{"cloud_account_uid":"111122223333","actor_user_name":"ann","resource_uid":"arn:aws:s3:::cards-1","category_uid":2,"severity_id":4}"#,
        r#"{"cloud_account_uid":"444455556666","actor_user_uid":"arn:aws:iam::1:role/admin-x","actor_user_name":"ann","category_uid":3,"severity_id":4}"#,
        r#"{"actor_user_name":"bob","resource_name":"cards","category_uid":2}"#,
        r#"{"category_uid":4}"#,
    ];

    #[test]
    fn rules_see_the_context() {
        let rows = RiskTables::new(&inventory()).rows(&json_rows(LINES), "trail").unwrap();
        for (sql, expected) in [
            ("account_criticality = 'critical'", vec![true, false, false, false]),
            ("account_criticality IS NULL", vec![false, true, true, true]),
            ("account_tags LIKE '%;env=prod;%'", vec![true, false, false, false]),
            ("identity_privilege = 'owner'", vec![true, false, false, false]),
            ("identity_privilege = 'admin'", vec![false, true, false, false]),
            ("identity_privilege = 'user'", vec![false, false, true, false]),
            ("identity_privilege IS NULL", vec![false, false, false, true]),
            ("data_classification = 'pci'", vec![true, false, false, false]),
            ("finding_severity_id >= 4", vec![true, false, false, false]),
            ("finding_severity_id IS NULL", vec![false, true, true, true]),
            ("feed = 'trail'", vec![true; 4]),
        ] {
            let mask = Predicate::compile(sql, rule_schema()).unwrap().evaluate(&rows).unwrap();
            assert_eq!(mask.iter().map(Option::unwrap).collect::<Vec<_>>(), expected, "{sql}");
        }
    }

    #[test]
    fn without_files_the_context_is_null() {
        let rows = RiskTables::default().rows(&json_rows(LINES), "trail").unwrap();
        let sql = "account_criticality IS NULL AND account_tags IS NULL AND identity_privilege IS NULL \
                   AND data_classification IS NULL";
        let mask = Predicate::compile(sql, rule_schema()).unwrap().evaluate(&rows).unwrap();
        assert_eq!(mask.true_count(), LINES.len());
    }

    #[test]
    fn a_replaced_table_is_seen_through_every_handle() {
        let risk = Risk::default();
        let other = risk.clone();
        risk.replace(&inventory());
        assert_eq!(other.now().accounts.len(), 2);
    }

    #[test]
    fn globs() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("*x*", "yxy", true),
            ("**", "any", true),
            ("é*é", "é-é", true),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }
}
