//! Putting a policy in force: a signed fact of the ledger. Nothing is moved or deleted under a policy
//! that was not applied.

use linchpin_config::Retention;
use serde_json::json;

use crate::{
    Lake,
    ledger::{AppliedFact, CommitError, Fact},
    policy,
    signing::{Signer, hex},
};

/// Records that `who` applied a policy, if it is not the one in force already; whether it was new. The
/// statement that is signed says which policy, who, when, and under which one things were before.
pub async fn apply(
    lake: &Lake,
    retention: &Retention,
    who: &str,
    signer: &Signer,
    now_ms: i64,
) -> Result<bool, CommitError> {
    let text = policy::text(retention);
    let hash = policy::hash(&text);
    let before = lake.ledger.applied();
    if before.as_ref().is_some_and(|applied| applied.fact.hash == hash) {
        return Ok(false);
    }
    let statement = json!({
        "kind": "applied",
        "policy_sha256": hex(&hash),
        "before_sha256": before.map(|applied| hex(&applied.fact.hash)),
        "who": who,
        "at": jiff::Timestamp::from_millisecond(now_ms).map(|at| at.to_string()).ok(),
    });
    let signed = Some(signer.sign(&statement));
    let fact = AppliedFact { hash, policy: text, who: who.to_owned(), signed };
    lake.ledger.commit_at(vec![Fact::Applied(fact)], now_ms).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use linchpin_config::{Config, Stores};

    use super::*;
    use crate::signing;

    fn config(folder: &std::path::Path, expire: &str) -> Config {
        let text = format!(
            "lake: ./lake
archives: {{ default: ./archive }}
feeds: [{{ name: logs, from: {{ files: ./logs }} }}]
retention:
  classes: {{ all: {{ hot: 7d, archive: {{ class: standard }}, expire: {expire} }} }}
  rules: [{{ name: all, class: all }}]
"
        );
        Config::parse(&folder.join("linchpin.yaml").display().to_string(), &text).unwrap()
    }

    #[tokio::test]
    async fn a_policy_is_applied_once_and_signed() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (config(folder.path(), "1y"), config(folder.path(), "2y"));
        let archives = one.archives.value.iter().map(|(name, place)| (name.value.as_str(), place));
        let lake = Lake::open(&one.lake, archives, &Stores::default()).await.unwrap();
        let signer = Signer::open(None, &one.lake).unwrap();
        let now_ms = 1_700_000_000_000;
        assert!(apply(&lake, &one.retention, "ann", &signer, now_ms).await.unwrap());
        assert!(!apply(&lake, &one.retention, "bob", &signer, now_ms + 1).await.unwrap());
        assert!(apply(&lake, &two.retention, "bob", &signer, now_ms + 2).await.unwrap());
        let applied = lake.ledger.applied().unwrap().fact;
        assert_eq!(applied.policy, policy::text(&two.retention));
        let statement: serde_json::Value = serde_json::from_str(&applied.signed.unwrap().statement).unwrap();
        assert_eq!(statement["before_sha256"], hex(&policy::hash(&policy::text(&one.retention))));
        assert_eq!(statement["at"], "2023-11-14T22:13:20.002Z");
        let checked = signing::check(&lake).await.unwrap();
        assert_eq!((checked.signed, checked.findings.len()), (2, 0));
        assert_eq!(checked.keys.into_keys().collect::<Vec<_>>(), [signer.public()]);
    }
}
