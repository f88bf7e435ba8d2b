#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod failing;

use std::{collections::BTreeMap, sync::atomic::AtomicUsize};

use failing::{FailingStore, Fault};
use jiff::civil::date;
use linchpin_normalize::{UnitId, UnitKey};
use object_store::ObjectStore;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

fn key(name: &str) -> UnitKey {
    UnitId { object: name.into(), start: 0, end: 9 }.key()
}

pub(super) fn unit(name: &str) -> UnitFact {
    UnitFact {
        key: key(name),
        object: format!("s3://logs/{name}#0123,9"),
        start: 0,
        end: 9,
        feed: "trail".to_owned(),
        source: "aws_cloudtrail".to_owned(),
        delivered_key: name.to_owned(),
        delivered_sha256: Some(Sha256::digest(name).into()),
        delivered_bytes: 5,
        received_ms: 1_790_000_000_000,
        time_max_ms: 1_789_999_999_000,
        segment: "seg".to_owned(),
        segments: vec!["seg".to_owned()],
        events: 3,
        rejects: 1,
        gaps: Vec::new(),
    }
}

pub(super) fn segment(worker: &str, seq: u64, class: &str) -> SegmentFact {
    SegmentFact {
        id: format!("{worker}-{seq}-{class}"),
        object: format!("{class}/2026-11-22/{worker}-{seq}"),
        store: "archive".to_owned(),
        tier: "LOCAL".to_owned(),
        retention: class.to_owned(),
        feeds: vec!["trail".to_owned()],
        sources: vec!["aws_cloudtrail".to_owned()],
        worker: worker.to_owned(),
        seq,
        time_min_ms: 1000 * seq as i64,
        time_max_ms: 1000 * seq as i64 + 999,
        events: 3,
        rows: 4,
        raw_bytes: 900,
        stored_bytes: 90,
        sha256: [1; 32],
        merkle_root: [2; 32],
        prev_root: [0; 32],
    }
}

fn units(names: &[&str]) -> Vec<Fact> {
    names.iter().map(|name| Fact::UnitConsumed(unit(name))).collect()
}

fn lake() -> (TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::folder(dir.path().join("lake")).unwrap();
    (dir, place)
}

async fn open(place: &Place) -> Ledger {
    open_with(place, LedgerOptions::default()).await
}

async fn open_with(place: &Place, options: LedgerOptions) -> Ledger {
    Ledger::open(place, options).await.unwrap()
}

async fn unknown(ledger: &Ledger, names: &[&str]) -> Vec<bool> {
    let keys: Vec<UnitKey> = names.iter().map(|n| key(n)).collect();
    ledger.unknown(&keys).await.unwrap()
}

/// Everything a ledger answers, to compare two of them.
fn answers(ledger: &Ledger) -> impl PartialEq + std::fmt::Debug {
    let mut segments = ledger.segments(&SegmentFilter::default());
    segments.sort_by(|a, b| a.fact.id.cmp(&b.fact.id));
    let applied = ledger.applied();
    (segments, ledger.workers(), ledger.hot_expired(), ledger.feeds(), applied)
}

#[tokio::test]
async fn a_unit_is_consumed_once() {
    let (_dir, place) = lake();
    let (a, b) = (open(&place).await, open(&place).await);
    a.commit(units(&["u1", "u2"])).await.unwrap();
    // `b` has not read that commit: it finds out by losing.
    match b.commit(units(&["u0", "u2", "u3"])).await {
        Err(CommitError::UnitsTaken(taken)) => assert_eq!(taken, [key("u2")]),
        other => panic!("{other:?}"),
    }
    assert_eq!(unknown(&b, &["u0", "u1", "u2", "u3"]).await, [true, false, false, true]);
    b.commit(units(&["u0", "u3"])).await.unwrap();
    a.refresh().await.unwrap();
    assert_eq!(unknown(&a, &["u0", "u1", "u2", "u3"]).await, [false; 4]);
    let twice = a.commit(units(&["u9", "u9"])).await;
    assert!(matches!(twice, Err(CommitError::Invalid(_))), "{twice:?}");
    assert!(matches!(a.commit(Vec::new()).await, Err(CommitError::Invalid(_))));
    assert_eq!(unknown(&a, &["u9"]).await, [true]);
}

#[tokio::test]
async fn a_stale_handle_reads_on_before_it_commits() {
    let (_dir, place) = lake();
    let (a, b) = (open(&place).await, open(&place).await);
    let mut last = 0;
    for name in ["a1", "a2", "a3"] {
        last = a.commit(units(&[name])).await.unwrap().version;
    }
    let committed = b.commit(units(&["b1"])).await.unwrap();
    assert_eq!(committed.version, last + 1);
    assert_eq!(unknown(&b, &["a1", "a2", "a3", "b1"]).await, [false; 4], "it knows what came before it");
}

#[tokio::test]
async fn a_file_without_a_commit_is_invisible() {
    let (_dir, place) = lake();
    let ledger = open(&place).await;
    let batch = columns::encode(&units(&["lost"]), 1).unwrap();
    let partition = [(COMMIT_DAY, Some("2026-11-22".to_owned()))];
    let writer = files::properties(1, false);
    let add =
        delta::write_file(&ledger.inner.log, &partition, vec![batch], writer, columns::STATS).await.unwrap();
    assert!(place.join("ledger").url().to_file_path().unwrap().join(&add.path).exists());
    ledger.refresh().await.unwrap();
    assert_eq!(unknown(&ledger, &["lost"]).await, [true]);
    assert_eq!(unknown(&open(&place).await, &["lost"]).await, [true]);
    ledger.commit(units(&["lost"])).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_found_in_the_log() {
    let (_dir, place) = lake();
    let ledger = open(&place).await;
    ledger.commit(units(&["first"])).await.unwrap();
    // The entry landed, but the process behaves as if the store had answered "taken".
    let facts = units(&["u"]);
    let batch = columns::encode(&facts, 1).unwrap();
    let partition = [(COMMIT_DAY, Some("2026-11-22".to_owned()))];
    let writer = files::properties(1, false);
    let log = &ledger.inner.log;
    let add = delta::write_file(log, &partition, vec![batch.clone()], writer, columns::STATS).await.unwrap();
    let mut head = ledger.inner.head.lock().await;
    let (version, actions) = (head.version + 1, vec![deltalake::kernel::Action::Add(add.clone())]);
    let operation = deltalake::protocol::DeltaOperation::FileSystemCheck {};
    assert!(delta::append(log, version, actions, operation, Vec::new()).await.unwrap());
    let attempt = commit::Attempt::new(&ledger.inner, add, batch, &facts, date(2026, 11, 22));
    assert_eq!(attempt.run(&mut head).await.unwrap(), version, "it recognises its own entry");
    assert_eq!(head.version, version, "and does not write a second one");
}

/// Makes the next `times` commits of `ledger` meet a failing store.
fn fail_next(ledger: &mut Ledger, fault: Fault, times: usize) {
    let inner = Arc::get_mut(&mut ledger.inner).unwrap();
    let config = inner.log.config();
    let store: Arc<dyn ObjectStore> =
        Arc::new(FailingStore { inner: inner.log.object_store(None), fault, left: AtomicUsize::new(times) });
    let root = inner.log.root_object_store(None);
    inner.log = deltalake::logstore::default_logstore(store, root, config.location(), config.options());
}

#[tokio::test]
async fn an_unknown_outcome_is_looked_up() {
    for fault in [Fault::Answer, Fault::Request] {
        let (_dir, place) = lake();
        let (mut a, b) = (open(&place).await, open(&place).await);
        b.commit(units(&["before"])).await.unwrap();
        a.refresh().await.unwrap();
        fail_next(&mut a, fault, 1);
        let committed = a.commit(units(&["u1"])).await.unwrap();
        assert_eq!(committed.version, 2, "{fault:?}: one entry, however often it was put");
        assert_eq!(a.feeds()["trail"].units, 2, "{fault:?}: folded once");
        b.refresh().await.unwrap();
        assert_eq!(answers(&a), answers(&b));
        // The store stays away: the caller is told that nobody knows.
        fail_next(&mut a, Fault::Request, usize::MAX);
        let answer = a.commit(units(&["u2"])).await;
        assert!(matches!(answer, Err(CommitError::Unknown(_))), "{answer:?}");
        assert_eq!(unknown(&a, &["u1", "u2"]).await, [false, true]);
    }
}

#[tokio::test]
async fn a_reopened_ledger_gives_the_same_answers() {
    let (_dir, place) = lake();
    let ledger = open(&place).await;
    let mut facts = units(&["u1", "empty"]);
    facts.extend(["critical", "bulk"].map(|class| Fact::SegmentCreated(segment("w1", 1, class))));
    ledger.commit(facts).await.unwrap();
    ledger.commit(vec![Fact::SegmentCreated(segment("w1", 2, "bulk"))]).await.unwrap();
    let applied = AppliedFact {
        hash: [7; 32],
        policy: "retention: {}".to_owned(),
        who: "ops".to_owned(),
        signed: None,
    };
    ledger
        .commit(vec![
            Fact::Tombstoned { segment: "w1-1-bulk".to_owned(), signed: None },
            Fact::HotExpired { class: "bulk".to_owned(), day: date(2026, 11, 1) },
            Fact::Applied(applied.clone()),
            Fact::WorkerClosed { worker: "w1".to_owned() },
        ])
        .await
        .unwrap();
    ledger.commit(vec![Fact::Deleted { segment: "w1-1-bulk".to_owned(), signed: None }]).await.unwrap();

    let ids = |l: &Ledger, seq| -> Vec<String> {
        l.segments_of_worker_after("w1", seq, 10).into_iter().map(|s| s.fact.id.clone()).collect()
    };
    assert_eq!(ids(&ledger, 0), ["w1-1-critical", "w1-2-bulk"]);
    assert_eq!(ids(&ledger, 1), ["w1-2-bulk"]);
    assert!(ledger.segment("w1-1-bulk").is_none());
    assert_eq!(ledger.max_seq("w1"), Some(2));
    assert_eq!(ledger.max_seq("w2"), None);
    assert!(ledger.workers()["w1"].closed);
    assert_eq!(ledger.applied().unwrap().fact, applied);
    assert!(ledger.hot_expired().contains(&("bulk".to_owned(), date(2026, 11, 1))));
    let feed = &ledger.feeds()["trail"];
    assert_eq!((feed.units, feed.events, feed.rejects), (2, 6, 2));
    assert_eq!(feed.last_object, "empty");
    let late = SegmentFilter { from_ms: Some(2000), ..SegmentFilter::default() };
    assert_eq!(ledger.segments(&late).len(), 1);

    let again = open(&place).await;
    assert_eq!(answers(&again), answers(&ledger));
    assert_eq!(unknown(&again, &["u1", "empty", "new"]).await, [false, false, true]);
}

#[tokio::test]
async fn units_beyond_the_memory_limit_are_still_found() {
    let (_dir, place) = lake();
    let options = LedgerOptions { keys_max: 8, filter_bytes_max: 200, ..LedgerOptions::default() };
    let ledger = open_with(&place, options.clone()).await;
    let names: Vec<String> = (0..40).map(|i| format!("u{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for chunk in names.chunks(4) {
        ledger.commit(units(chunk)).await.unwrap();
    }
    let cold = |l: &Ledger| l.inner.state().files.values().filter(|f| f.cold).count();
    for ledger in [&ledger, &open_with(&place, options).await] {
        assert!((8..10).contains(&cold(ledger)), "{}", cold(ledger));
        assert_eq!(unknown(ledger, &names).await, vec![false; 40]);
        assert_eq!(unknown(ledger, &["u40", "u3"]).await, [true, false]);
        let answer = ledger.commit(units(&["u40", "u0"])).await;
        assert!(matches!(&answer, Err(CommitError::UnitsTaken(t)) if *t == [key("u0")]), "{answer:?}");
    }
}

#[tokio::test]
async fn compaction_changes_no_answer() {
    let (_dir, place) = lake();
    let options = LedgerOptions { compact_files_min: 4, ..LedgerOptions::default() };
    let (ledger, other) = (open_with(&place, options.clone()).await, open(&place).await);
    for i in 0..6 {
        let mut facts = units(&[&format!("u{i}"), &format!("v{i}")]);
        facts.push(Fact::SegmentCreated(segment("w", i + 1, "bulk")));
        ledger.commit(facts).await.unwrap();
    }
    ledger.commit(vec![Fact::Deleted { segment: "w-2-bulk".to_owned(), signed: None }]).await.unwrap();
    other.refresh().await.unwrap();
    assert_eq!(ledger.compact().await.unwrap(), Compacted { merged: 7, written: 1 });
    assert_eq!(ledger.compact().await.unwrap(), Compacted::default());
    assert_eq!(ledger.inner.state().files.len(), 1);
    // An appender that has not seen the compaction, and a commit after it.
    other.commit(units(&["late"])).await.unwrap();
    ledger.refresh().await.unwrap();
    let tight = LedgerOptions { keys_max: 4, ..options };
    let (fresh, tight) = (open(&place).await, open_with(&place, tight).await);
    for l in [&ledger, &other, &fresh, &tight] {
        assert_eq!(unknown(l, &["u0", "v5", "u3", "late", "new"]).await, [false, false, false, false, true]);
        assert_eq!(l.segments(&SegmentFilter::default()).len(), 5);
        assert_eq!(l.max_seq("w"), Some(6));
        assert_eq!(l.inner.state().files.len(), 2);
    }
    assert_eq!(answers(&fresh), answers(&ledger));
    assert_eq!(answers(&other), answers(&ledger));
    ledger.checkpoint().await.unwrap();
    assert_eq!(answers(&open(&place).await), answers(&ledger));
    assert_eq!(ledger.vacuum().await.unwrap(), 0, "merged files stay for readers that are slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_and_committers_do_not_hurt_each_other() {
    let (_dir, place) = lake();
    let options = LedgerOptions { compact_files_min: 2, checkpoint_every: 5, ..LedgerOptions::default() };
    let (tidy, ledger) = (open_with(&place, options.clone()).await, open_with(&place, options).await);
    let commits = tokio::spawn(async move {
        for i in 0..12 {
            ledger.commit(units(&[&format!("u{i}")])).await.unwrap();
        }
        ledger
    });
    let mut merged = 0;
    while !commits.is_finished() {
        merged += tidy.compact().await.unwrap().merged;
    }
    let ledger = commits.await.unwrap();
    merged += tidy.compact().await.unwrap().merged;
    assert!(merged > 1);
    ledger.refresh().await.unwrap();
    let names: Vec<String> = (0..12).map(|i| format!("u{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for ledger in [&ledger, &tidy, &open(&place).await] {
        assert_eq!(unknown(ledger, &names).await, vec![false; 12]);
        assert_eq!(ledger.feeds()["trail"].units, 12);
    }
}

#[tokio::test]
async fn kinds_of_newer_versions_are_kept_and_change_nothing() {
    let (_dir, place) = lake();
    let ledger = open(&place).await;
    let moved = serde_json::json!({"kind": "frozen", "segment": "s", "to": {"store": "cold"}});
    let serde_json::Value::Object(moved) = moved else { unreachable!() };
    ledger.commit(vec![Fact::Unknown(moved), Fact::UnitConsumed(unit("u"))]).await.unwrap();
    let again = open(&place).await;
    assert_eq!(unknown(&again, &["u"]).await, [false]);
    assert!(again.segments(&SegmentFilter::default()).is_empty());
    // A known kind that lost a field is damage, not news.
    let broken = serde_json::json!({"kind": "deleted"});
    let serde_json::Value::Object(broken) = broken else { unreachable!() };
    assert!(Fact::from_json(broken).is_err());
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one course of events")]
async fn a_segment_has_one_place_and_its_holds_in_whatever_order_facts_are_read() {
    let (_dir, place) = lake();
    let options = LedgerOptions { compact_files_min: 2, ..LedgerOptions::default() };
    let ledger = open_with(&place, options).await;
    let start_ms = jiff::Timestamp::now().as_millisecond();
    let mut now_ms = start_ms;
    let id = "w-1-bulk".to_owned();
    let pack = |object: &str, offset| {
        Fact::Repacked(RepackedFact {
            segment: id.clone(),
            store: "archive".to_owned(),
            object: object.to_owned(),
            offset,
            stored_bytes: 80,
            sha256: [5; 32],
            tier: "GLACIER_IR".to_owned(),
        })
    };
    let held = |case: &str, segments: &[&str], looked_ms| {
        Fact::Held(HeldFact {
            case: case.to_owned(),
            predicate: "true".to_owned(),
            from_ms: None,
            to_ms: Some(1500),
            segments: segments.iter().map(|s| (*s).to_owned()).collect(),
            looked_ms,
            by: "ann".to_owned(),
        })
    };
    let freed = Fact::Freed {
        segment: id.clone(),
        store: "archive".to_owned(),
        object: "bulk/2026-11-22/w-1".to_owned(),
    };
    let restored = |until_ms| Fact::Restored { segment: id.clone(), until_ms, job: "j".to_owned() };
    let released = |case: &str| Fact::Released {
        case: case.to_owned(),
        reason: "settled".to_owned(),
        by: "ann".to_owned(),
    };
    let steps = [
        Fact::SegmentCreated(segment("w", 1, "bulk")),
        pack("p1", 10),
        freed,
        pack("p2", 20),
        restored(7),
        Fact::Moved { segment: id.clone(), tier: "DEEP_ARCHIVE".to_owned() },
        restored(9),
        held("one", &[&id], start_ms),
        held("two", &[&id], start_ms),
        released("one"),
        released("two"),
        held("two", &[], start_ms + 1_000_000),
        held("three", &["other"], start_ms - 1),
    ];
    for fact in steps {
        now_ms += 10;
        ledger.commit_at(vec![fact], now_ms).await.unwrap();
    }
    let check = |ledger: &Ledger| {
        let segment = ledger.segment("w-1-bulk").unwrap();
        let place = segment.place();
        assert_eq!((place.object.as_str(), place.offset, place.end()), ("p2", 20, 100));
        assert_eq!((place.tier.as_str(), place.restored_until_ms), ("DEEP_ARCHIVE", Some(9)));
        assert_eq!((place.since_ms, place.tier_since_ms), (start_ms + 40, start_ms + 60));
        assert_eq!(segment.left, [("archive".to_owned(), "p1".to_owned())]);
        // `two` was placed again without it; `three` has not looked at it yet, and its time fits.
        assert_eq!(segment.holds, ["three"]);
        assert_eq!(ledger.holds().iter().map(|h| h.case.as_str()).collect::<Vec<_>>(), ["three", "two"]);
    };
    check(&ledger);
    ledger.compact().await.unwrap();
    let again = open(&place).await;
    check(&again);
    let kinds = again.facts_of("held").await.unwrap();
    assert_eq!(kinds.iter().map(|(at_ms, _)| at_ms - start_ms).collect::<Vec<_>>(), [80, 90, 120, 130]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_committers_consume_every_unit_exactly_once() {
    let (_dir, place) = lake();
    // All want overlapping units, as with a queue that delivers twice; every handle is a process.
    let workers = (0..4).map(|w| {
        let place = place.clone();
        tokio::spawn(async move {
            let ledger = open(&place).await;
            let mut won = Vec::new();
            for round in 0..5 {
                let mut names: Vec<String> = (0..4).map(|i| format!("r{round}-u{}", (w + i) % 6)).collect();
                while !names.is_empty() {
                    let facts = names.iter().map(|n| Fact::UnitConsumed(unit(n))).collect();
                    match ledger.commit(facts).await {
                        Ok(committed) => {
                            won.push((committed.version, names));
                            break;
                        }
                        Err(CommitError::UnitsTaken(taken)) => names.retain(|n| !taken.contains(&key(n))),
                        Err(e) => panic!("{e}"),
                    }
                }
            }
            won
        })
    });
    let mut owners: BTreeMap<String, u64> = BTreeMap::new();
    let mut versions = BTreeSet::new();
    for worker in workers.collect::<Vec<_>>() {
        for (version, names) in worker.await.unwrap() {
            assert!(versions.insert(version), "one commit a version");
            for name in names {
                assert_eq!(owners.insert(name, version), None, "a unit is consumed once");
            }
        }
    }
    assert_eq!(owners.len(), 5 * 6);
    let ledger = open(&place).await;
    assert_eq!(ledger.feeds()["trail"].units, 30);
    // Creating the table raced as well: it has one creation.
    assert_eq!(versions.into_iter().min(), Some(1));
}

#[tokio::test]
async fn units_of_a_delivered_object_are_found() {
    let (_dir, place) = lake();
    let ledger = open_with(&place, LedgerOptions { compact_files_min: 2, ..LedgerOptions::default() }).await;
    let part = |n: u64| UnitFact { key: key(&format!("big-{n}")), start: n * 10, ..unit("big") };
    ledger.commit(vec![Fact::UnitConsumed(part(1)), Fact::UnitConsumed(unit("other"))]).await.unwrap();
    ledger.commit(vec![Fact::UnitConsumed(part(0))]).await.unwrap();
    assert_eq!(ledger.units_delivered("big").await.unwrap(), [part(0), part(1)]);
    ledger.compact().await.unwrap();
    assert_eq!(ledger.units_delivered("big").await.unwrap(), [part(0), part(1)]);
    let nested = UnitFact { delivered_key: "logs/2026/a.json".into(), ..unit("a") };
    ledger.commit(vec![Fact::UnitConsumed(nested.clone())]).await.unwrap();
    for end in ["a.json", "2026/a.json", "logs/2026/a.json"] {
        assert_eq!(ledger.units_delivered(end).await.unwrap(), std::slice::from_ref(&nested), "{end}");
    }
    for none in ["none", ".json", "6/a.json", "%a.json"] {
        assert_eq!(ledger.units_delivered(none).await.unwrap(), [], "{none}");
    }
}
