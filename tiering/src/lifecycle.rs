//! A policy as lifecycle rules of a bucket, and whether rules that a bucket has contradict the policy.
//!
//! Rules move objects for free of work, but they know neither packs nor outputs that lag behind, and their
//! expiry knows neither holds nor tombstones; so moves are what they are good for, and expiry is only
//! written when it is asked for.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::{enforce::TOMBSTONE_WAIT, policy::RetentionClass, prices::Provider, tiers};

/// A bucket, as far as rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket<'a> {
    /// Who runs it.
    pub provider: Provider,
    /// Prefix of the archive in it, without slashes at its ends; for Azure with the container before it.
    pub prefix: &'a str,
    /// Prefix of the lake's tables, if they are in the same bucket: nothing may touch them.
    pub lake: Option<&'a str>,
}

impl Bucket<'_> {
    fn below(&self, name: &str) -> String {
        if self.prefix.is_empty() { format!("{name}/") } else { format!("{}/{name}/", self.prefix) }
    }
}

/// Whole days, rounded up: a rule must never be earlier than the policy.
fn days(duration: Duration) -> u64 {
    duration.as_secs().div_ceil(24 * 3600)
}

/// The rules in the provider's own form; `None` for a folder. With `expire`, objects are also deleted
/// when the policy would, a week after they are due.
pub fn rules(bucket: &Bucket<'_>, classes: &[RetentionClass], expire: bool) -> Option<Value> {
    let of = |class: &RetentionClass| {
        let way = tiers::way(&class.tiers, bucket.provider);
        let moves: Vec<(u64, &'static str)> =
            way.into_iter().skip(1).map(|(after, word)| (days(after), word)).collect();
        let delete = expire.then(|| days(class.expire + TOMBSTONE_WAIT));
        (bucket.below(&class.name), class.name.clone(), moves, delete)
    };
    let classes =
        classes.iter().map(of).filter(|(_, _, moves, delete)| !moves.is_empty() || delete.is_some());
    Some(match bucket.provider {
        Provider::S3 => json!({ "Rules": classes.map(aws).collect::<Vec<_>>() }),
        Provider::Azure => json!({ "rules": classes.map(azure).collect::<Vec<_>>() }),
        Provider::Gcs => json!({ "lifecycle": { "rule": classes.flat_map(gcs).collect::<Vec<_>>() } }),
        Provider::Local => return None,
    })
}

type Rule = (String, String, Vec<(u64, &'static str)>, Option<u64>);

fn aws((prefix, name, moves, delete): Rule) -> Value {
    let mut rule = json!({
        "ID": format!("linchpin-{name}"),
        "Status": "Enabled",
        "Filter": { "Prefix": prefix },
        "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 7 },
    });
    if !moves.is_empty() {
        let moves = moves.iter().map(|(days, word)| json!({ "Days": days, "StorageClass": word }));
        rule["Transitions"] = moves.collect();
    }
    if let Some(days) = delete {
        rule["Expiration"] = json!({ "Days": days });
    }
    rule
}

fn azure((prefix, name, moves, delete): Rule) -> Value {
    let mut actions = Map::new();
    for (days, word) in moves {
        actions.insert(format!("tierTo{word}"), json!({ AZURE_AGE: days }));
    }
    if let Some(days) = delete {
        actions.insert("delete".to_owned(), json!({ AZURE_AGE: days }));
    }
    json!({
        "enabled": true,
        "name": format!("linchpin-{}", name.replace(['_', '.'], "-")),
        "type": "Lifecycle",
        "definition": {
            "filters": { "blobTypes": ["blockBlob"], "prefixMatch": [prefix] },
            "actions": { "baseBlob": actions },
        },
    })
}

/// The age of a blob in Azure's rules.
const AZURE_AGE: &str = "daysAfterCreationGreaterThan";

fn gcs((prefix, _, moves, delete): Rule) -> Vec<Value> {
    let rule = |action: Value, days: u64| json!({ "action": action, "condition": { "age": days, "matchesPrefix": [prefix] } });
    let moves = moves
        .iter()
        .map(|(days, word)| rule(json!({ "type": "SetStorageClass", "storageClass": word }), *days));
    moves.chain(delete.map(|days| rule(json!({ "type": "Delete" }), days))).collect()
}

/// What a rule of a bucket does to objects with a prefix.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    name: String,
    /// Empty for all objects.
    prefixes: Vec<String>,
    days: u64,
    /// The class it moves to; `None` if it deletes.
    to: Option<String>,
}

/// Where rules that a bucket has (in the provider's own form) contradict the policy: they delete what it
/// keeps, move what it leaves, or touch the lake's tables.
pub fn contradictions(bucket: &Bucket<'_>, classes: &[RetentionClass], existing: &Value) -> Vec<String> {
    let found = match bucket.provider {
        Provider::S3 => from_aws(existing),
        Provider::Azure => from_azure(existing),
        Provider::Gcs => from_gcs(existing),
        Provider::Local => Vec::new(),
    };
    let mut wrong = Vec::new();
    for rule in &found {
        if bucket.lake.is_some_and(|lake| rule.meets(&format!("{lake}/"))) {
            let does = rule.to.as_ref().map_or_else(|| "deletes".to_owned(), |to| format!("moves to `{to}`"));
            wrong.push(format!("rule `{}` {does} the lake's tables after {} days", rule.name, rule.days));
        }
        for class in classes.iter().filter(|class| rule.meets(&bucket.below(&class.name))) {
            wrong.extend(rule.against(class, bucket.provider));
        }
    }
    wrong
}

impl Found {
    /// Whether it may touch keys below a prefix.
    fn meets(&self, prefix: &str) -> bool {
        let meets = |own: &String| prefix.starts_with(own.as_str()) || own.starts_with(prefix);
        self.prefixes.is_empty() || self.prefixes.iter().any(meets)
    }

    fn against(&self, class: &RetentionClass, provider: Provider) -> Option<String> {
        let Self { name, days: at, to, .. } = self;
        let age = Duration::from_hours(at.saturating_mul(24));
        match to {
            None if age < class.expire => Some(format!(
                "rule `{name}` deletes class `{}` after {at} days, but the policy keeps it for {}",
                class.name,
                days(class.expire)
            )),
            Some(to) => {
                let wanted = tiers::wanted(&class.tiers, provider, age);
                (wanted != to && age < class.expire).then(|| {
                    format!(
                        "rule `{name}` moves class `{}` to `{to}` after {at} days, but the policy has it in `{wanted}` then",
                        class.name
                    )
                })
            }
            None => None,
        }
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn from_aws(existing: &Value) -> Vec<Found> {
    let mut found = Vec::new();
    for rule in list(existing, "Rules").filter(|rule| rule["Status"] != "Disabled") {
        let name = rule["ID"].as_str().unwrap_or("without a name");
        let places = [&rule["Filter"]["Prefix"], &rule["Filter"]["And"]["Prefix"], &rule["Prefix"]];
        let prefix = places.into_iter().find_map(Value::as_str).filter(|prefix| !prefix.is_empty());
        let prefixes: Vec<String> = prefix.map(str::to_owned).into_iter().collect();
        let mut push = |days: Option<u64>, to: Option<&Value>| {
            let to = to.and_then(Value::as_str).map(str::to_owned);
            let prefixes = prefixes.clone();
            found.push(Found { name: name.to_owned(), prefixes, days: days.unwrap_or(0), to });
        };
        for step in list(rule, "Transitions") {
            push(step["Days"].as_u64(), Some(&step["StorageClass"]));
        }
        let expiration = &rule["Expiration"];
        // A date deletes all that is older than it: as if after no days.
        if expiration.get("Days").is_some() || expiration.get("Date").is_some() {
            push(expiration["Days"].as_u64(), None);
        }
    }
    found
}

fn from_azure(existing: &Value) -> Vec<Found> {
    let mut found = Vec::new();
    let rules = existing.get("policy").unwrap_or(existing);
    for rule in list(rules, "rules").filter(|rule| rule["enabled"] != false) {
        let definition = &rule["definition"];
        let prefixes = texts(definition["filters"].get("prefixMatch"));
        let actions = definition["actions"]["baseBlob"].as_object().into_iter().flatten();
        for (action, condition) in actions {
            let to = action.strip_prefix("tierTo");
            if to.is_none() && action != "delete" {
                continue;
            }
            let ages = condition.as_object().into_iter().flatten();
            let days = ages.filter_map(|(_, age)| age.as_f64()).map(|days| days as u64).min();
            found.push(Found {
                name: rule["name"].as_str().unwrap_or("without a name").to_owned(),
                prefixes: prefixes.clone(),
                days: days.unwrap_or(0),
                to: to.map(str::to_owned),
            });
        }
    }
    found
}

fn from_gcs(existing: &Value) -> Vec<Found> {
    let named = ["lifecycle", "lifecycle_config"].into_iter().find_map(|key| existing.get(key));
    let rules = named.unwrap_or(existing);
    let rule = |(n, rule): (usize, &Value)| {
        let action = &rule["action"];
        let to = match action["type"].as_str()? {
            "Delete" => None,
            "SetStorageClass" => Some(action["storageClass"].as_str()?.to_owned()),
            _ => return None,
        };
        let condition = &rule["condition"];
        // Old versions are none of the policy's.
        if condition["isLive"] == false || condition.get("numNewerVersions").is_some() {
            return None;
        }
        let prefixes = texts(condition.get("matchesPrefix"));
        let days = condition["age"].as_u64().unwrap_or(0);
        Some(Found { name: format!("number {}", n + 1), prefixes, days, to })
    };
    list(rules, "rule").enumerate().filter_map(rule).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use linchpin_config::StorageClass::{DeepArchive, GlacierIr, Standard};

    use super::*;
    use crate::tiers::Step;

    const DAY: Duration = Duration::from_hours(24);

    fn classes() -> Vec<RetentionClass> {
        let critical = RetentionClass {
            tiers: vec![
                Step { after: 7 * DAY, class: GlacierIr },
                Step { after: 180 * DAY, class: DeepArchive },
            ],
            ..RetentionClass::new("critical", 400 * DAY, 2555 * DAY)
        };
        let plain = RetentionClass {
            tiers: vec![Step { after: Duration::ZERO, class: Standard }],
            ..RetentionClass::new("plain", DAY, 90 * DAY)
        };
        vec![critical, plain]
    }

    fn bucket(provider: Provider) -> Bucket<'static> {
        Bucket { provider, prefix: "logs/archive", lake: Some("lake") }
    }

    #[test]
    fn rules_have_the_form_of_their_provider() {
        let of = |provider, expire| rules(&bucket(provider), &classes(), expire).unwrap();
        assert_eq!(
            of(Provider::S3, false),
            json!({ "Rules": [{
                "ID": "linchpin-critical", "Status": "Enabled",
                "Filter": { "Prefix": "logs/archive/critical/" },
                "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 7 },
                "Transitions": [
                    { "Days": 7, "StorageClass": "GLACIER_IR" },
                    { "Days": 180, "StorageClass": "DEEP_ARCHIVE" },
                ],
            }] })
        );
        assert_eq!(of(Provider::S3, true)["Rules"][1]["Expiration"], json!({ "Days": 97 }));
        assert_eq!(
            of(Provider::Azure, true)["rules"][0]["definition"],
            json!({
                "filters": { "blobTypes": ["blockBlob"], "prefixMatch": ["logs/archive/critical/"] },
                "actions": { "baseBlob": {
                    "tierToCold": { "daysAfterCreationGreaterThan": 7 },
                    "tierToArchive": { "daysAfterCreationGreaterThan": 180 },
                    "delete": { "daysAfterCreationGreaterThan": 2562 },
                } },
            })
        );
        assert_eq!(
            of(Provider::Gcs, false),
            json!({ "lifecycle": { "rule": [
                { "action": { "type": "SetStorageClass", "storageClass": "COLDLINE" },
                  "condition": { "age": 7, "matchesPrefix": ["logs/archive/critical/"] } },
                { "action": { "type": "SetStorageClass", "storageClass": "ARCHIVE" },
                  "condition": { "age": 180, "matchesPrefix": ["logs/archive/critical/"] } },
            ] } })
        );
        assert_eq!(rules(&bucket(Provider::Local), &classes(), true), None);
    }

    #[test]
    fn own_rules_contradict_nothing() {
        for provider in [Provider::S3, Provider::Azure, Provider::Gcs] {
            let own = rules(&bucket(provider), &classes(), true).unwrap();
            assert_eq!(contradictions(&bucket(provider), &classes(), &own), Vec::<String>::new());
        }
    }

    #[test]
    fn other_rules_are_told_where_they_contradict() {
        let aws = |rule: Value| json!({ "Rules": [rule] });
        for (provider, existing, expected) in [
            (
                Provider::S3,
                aws(
                    json!({ "ID": "tidy", "Status": "Enabled", "Filter": {}, "Expiration": { "Days": 365 } }),
                ),
                vec![
                    "rule `tidy` deletes the lake's tables after 365 days",
                    "rule `tidy` deletes class `critical` after 365 days, but the policy keeps it for 2555",
                ],
            ),
            (
                Provider::S3,
                aws(
                    json!({ "ID": "cold", "Status": "Enabled", "Filter": { "And": { "Prefix": "logs/", "Tags": [] } },
                            "Transitions": [{ "Days": 30, "StorageClass": "GLACIER" }] }),
                ),
                vec![
                    "rule `cold` moves class `critical` to `GLACIER` after 30 days, but the policy has it in `GLACIER_IR` then",
                    "rule `cold` moves class `plain` to `GLACIER` after 30 days, but the policy has it in `STANDARD` then",
                ],
            ),
            (
                Provider::S3,
                aws(json!({ "ID": "off", "Status": "Disabled", "Prefix": "", "Expiration": { "Days": 1 } })),
                vec![],
            ),
            (
                Provider::S3,
                aws(
                    json!({ "ID": "else", "Status": "Enabled", "Filter": { "Prefix": "other/" }, "Expiration": { "Days": 1 } }),
                ),
                vec![],
            ),
            (
                Provider::S3,
                aws(
                    json!({ "ID": "old", "Status": "Enabled", "Filter": { "Prefix": "logs/archive/plain/" }, "Expiration": { "Date": "2027-01-01" } }),
                ),
                vec!["rule `old` deletes class `plain` after 0 days, but the policy keeps it for 90"],
            ),
            (
                Provider::Azure,
                json!({ "policy": { "rules": [{ "name": "a", "definition": {
                    "filters": { "prefixMatch": ["logs/archive/critical/2026"] },
                    "actions": { "baseBlob": { "tierToArchive": { "daysAfterModificationGreaterThan": 30.0 } } } } }] } }),
                vec![
                    "rule `a` moves class `critical` to `Archive` after 30 days, but the policy has it in `Cold` then",
                ],
            ),
            (
                Provider::Gcs,
                json!({ "rule": [
                    { "action": { "type": "Delete" }, "condition": { "numNewerVersions": 1 } },
                    { "action": { "type": "Delete" }, "condition": { "age": 30, "matchesPrefix": ["logs/archive/"] } },
                ] }),
                vec![
                    "rule `number 2` deletes class `critical` after 30 days, but the policy keeps it for 2555",
                    "rule `number 2` deletes class `plain` after 30 days, but the policy keeps it for 90",
                ],
            ),
        ] {
            assert_eq!(contradictions(&bucket(provider), &classes(), &existing), expected);
        }
    }
}
