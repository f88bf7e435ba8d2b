//! A policy as text, in one form whatever the layout of its file: what is applied, recorded and signed.

use linchpin_config::{Diagnostics, Lock, Retention, StorageClass};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The text of a policy: JSON in the shape of the configuration's `retention`, with classes by name and
/// rules in their order. What does not change what is kept (regulations) is left out.
pub fn text(retention: &Retention) -> String {
    let mut classes: Vec<_> = retention.classes.value.iter().collect();
    classes.sort_by(|a, b| a.0.value.cmp(&b.0.value));
    let class = |class: &linchpin_config::RetentionClass| {
        let archive = &class.archive;
        let moves = archive.moves.iter().map(|(to, after)| (name(to.value), after.value.to_string().into()));
        let mut out = json!({
            "hot": class.hot.value.to_string(),
            "archive": { "class": name(archive.class), "after": archive.after.value.to_string() },
            "expire": class.expire.value.to_string(),
        });
        if !archive.moves.is_empty() {
            out["archive"]["move"] = Value::Object(moves.collect());
        }
        if let Some(lock) = class.lock {
            out["lock"] = match lock {
                Lock::Governance => "governance",
                Lock::Compliance => "compliance",
            }
            .into();
        }
        out
    };
    let classes: Map<String, Value> =
        classes.into_iter().map(|(name, c)| (name.value.as_str().to_owned(), class(c))).collect();
    let rules: Vec<Value> = retention.rules.value.iter().map(rule).collect();
    json!({ "classes": classes, "rules": rules }).to_string()
}

fn rule(rule: &linchpin_config::Rule) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), rule.name.value.clone().into());
    if let Some(when) = &rule.when {
        out.insert("when".to_owned(), when.value.clone().into());
    }
    out.insert("class".to_owned(), rule.class.value.as_str().into());
    if let Some(outputs) = &rule.outputs {
        let names: Vec<&str> = outputs.iter().map(|output| output.value.as_str()).collect();
        out.insert("outputs".to_owned(), names.into());
    }
    out.into()
}

/// The hash that tells a policy from another.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A policy from its text, as the ledger recorded it.
pub fn parse(text: &str) -> Result<Retention, Diagnostics> {
    linchpin_config::parse("the policy in force", text)
}

/// The name of a storage class in a configuration.
pub fn name(class: StorageClass) -> String {
    match serde_json::to_value(class) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const FILE: &str = "
classes:
  bulk: { hot: 7d, archive: { class: deep_archive }, expire: 400d }
  audit: { hot: 1y, archive: { class: glacier_ir, after: 7d, move: { deep_archive: 180d } }, expire: 7y, lock: compliance }
rules:
  - { name: logins, when: \"class_uid = 3002\", class: audit, outputs: [siem] }
  - { name: rest, class: bulk }
regulations: [sox]
";

    #[test]
    fn the_text_says_what_is_kept_and_reads_back() {
        let policy: Retention = linchpin_config::parse("a.yaml", FILE).unwrap();
        let text = text(&policy);
        let expected = r#"{"classes":{"audit":{"hot":"1y","archive":{"class":"glacier_ir","after":"1w","move":{"deep_archive":"180d"}},"expire":"7y","lock":"compliance"},"bulk":{"hot":"1w","archive":{"class":"deep_archive","after":"0ms"},"expire":"400d"}},"rules":[{"name":"logins","when":"class_uid = 3002","class":"audit","outputs":["siem"]},{"name":"rest","class":"bulk"}]}"#;
        assert_eq!(text, expected);
        assert_eq!(super::text(&parse(&text).unwrap()), text);
    }

    #[test]
    fn another_layout_is_the_same_policy_and_another_tier_is_not() {
        let of = |file: &str| hash(&text(&linchpin_config::parse("a.yaml", file).unwrap()));
        assert_eq!(of(FILE), of(&FILE.replace("7d", "1w").replace("regulations: [sox]", "")));
        for change in [("180d", "181d"), ("deep_archive }", "glacier }"), ("compliance", "governance")] {
            assert_ne!(of(FILE), of(&FILE.replace(change.0, change.1)), "{change:?}");
        }
    }
}
