//! Jobs over events that were taken in as the pipeline does: what has expired is found by reading, and
//! rows come back by today's mappings.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arrow::array::AsArray;
use linchpin_config::Place;
use linchpin_normalize::{Carry, Catalog, Normalizer, RawUnit, UnitId, unit::Delivered};
use linchpin_store::{LocalStore, Store};

use super::super::{
    Approval, Destination, FolderSink, Jobs, Order, Phase, Pricing, Runner, Sink, TableSink, approve,
    estimate, tidy,
};
use crate::{
    Lake,
    archive::PolicyRef,
    epoch::{Epoch, EpochContext},
    hot::{HotRows, encode},
    ledger::Fact,
    policy::{self, Predicate, RetentionClass, RetentionPolicy, RetentionRule, Risk},
    prices::{Book, Speed},
    rehydrate::{Request, Shape},
    search::SearchLimits,
};

/// 2026-01-31, noon.
pub(crate) const NOW_MS: i64 = 1_769_860_800_000;
const DAY_MS: i64 = 86_400_000;

/// A lake in a folder with calls of `ann` and `bob` over the last days, `n` a day each.
pub(crate) struct Real {
    _folder: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) lake: Lake,
}

/// One call: the `n`-th of a user on a day so many days ago.
fn call(user: &str, back: i64, n: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(NOW_MS - back * DAY_MS + n * 1000).unwrap();
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::111122223333:user/{user}","accountId":"111122223333","userName":"{user}"}},"eventTime":"{at:.0}","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.24","userAgent":"aws-cli/2","requestID":"{user}-{back}-{n}","eventID":"{user}-{back}-{n}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}}"#
    )
}

impl Real {
    /// `doctor` changes the rows on their way into the hot table, as an older mapping would have.
    pub(crate) async fn new(days: i64, n: i64, doctor: impl Fn(&mut HotRows)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let store: Arc<dyn Store> = Arc::new(LocalStore::open(root.join("archive")).unwrap());
        let archive = Place::Folder(root.join("archive"));
        let at = Place::Folder(root.join("lake"));
        let lake = Lake::open_with(&at, [("default", archive, Arc::clone(&store))]);
        let real = Self { _folder: folder, root, lake: lake.await.unwrap() };
        for back in 0..days {
            let calls = (0..n).flat_map(|i| ["ann", "bob"].map(|user| call(user, back, i)));
            real.take(back, &calls.collect::<Vec<_>>().join("\n"), &*store, &doctor).await;
        }
        real
    }

    async fn take(&self, back: i64, text: &str, store: &dyn Store, doctor: &impl Fn(&mut HotRows)) {
        let classes = [RetentionClass::new("standard", Duration::from_hours(2400), Duration::MAX)];
        let rule = RetentionRule { name: "all".to_owned(), when: None, class: "standard".to_owned() };
        let policy = Arc::new(RetentionPolicy::compile(&classes, &[rule]).unwrap());
        let worker = ulid::Ulid::new().to_string();
        let mut epoch = Epoch::new(EpochContext {
            worker: worker.as_str().into(),
            policy,
            risk: Risk::default(),
            policy_ref: PolicyRef::default(),
            archives: ["default".into()].into(),
        });
        let bytes: bytes::Bytes = text.to_owned().into();
        let now_ms = NOW_MS - back * DAY_MS;
        let unit = RawUnit {
            id: UnitId { object: format!("day-{back}").into(), start: 0, end: bytes.len() as u64 },
            feed: "trail".into(),
            key: format!("day-{back}.json").into(),
            source: Some("aws.cloudtrail".into()),
            carry: Carry::default(),
            received_ms: now_ms,
            delivered: Delivered { sha256: Some([1; 32]), bytes: bytes.len() as u64 },
            gaps: Vec::new(),
            bytes,
        };
        let mut normalizer = normalizer();
        let mut pass = normalizer.begin(&unit);
        let facts = normalizer.facts(&pass);
        epoch.begin(&unit, &facts.source, 3, 0);
        while let Some(normalized) = normalizer.batch(&unit, &mut pass) {
            epoch.batch(&unit, &normalized).unwrap();
        }
        epoch.end(&unit, &facts.context).unwrap();
        let closed = epoch.close(1, None, now_ms).unwrap();
        for (_, segment) in closed.segments() {
            store.put(&segment.object_key, segment.bytes.clone()).await.unwrap();
        }
        self.lake.ledger.commit_at(closed.facts(|_| "LOCAL"), now_ms).await.unwrap();
        let mut rows = closed.into_hot_rows().unwrap();
        rows.iter_mut().for_each(doctor);
        let files = encode(&rows, &classes, now_ms).unwrap();
        self.lake.hot.commit(files, &worker, 1).await.unwrap();
    }

    /// Lets the hot rows of a day go.
    async fn expire(&self, back: i64) {
        let day = crate::hot::event_day((NOW_MS - back * DAY_MS) * 1000, NOW_MS).unwrap();
        let expired = vec![Fact::HotExpired { class: "standard".to_owned(), day }];
        self.lake.ledger.commit_at(expired, NOW_MS).await.unwrap();
        self.lake.hot.drop_partitions(|(_, of)| *of == day).await.unwrap();
    }

    async fn job(&self, sql: &str, shape: Shape, destination: Destination) -> String {
        let period = 0..NOW_MS + DAY_MS;
        let order =
            Order { predicate: sql.to_owned(), from_ms: period.start, to_ms: period.end, shape, destination };
        let predicate = Predicate::compile(sql, policy::schema()).unwrap();
        let request = Request { predicate, period, limits: SearchLimits::default() };
        let book = Book::builtin().unwrap();
        let pricing = Pricing { book: &book, days: 1 };
        let estimated = estimate(&self.lake, order, &request, pricing, NOW_MS).await.unwrap();
        assert!(estimated.job.offers.iter().all(|offer| offer.price == 0), "a folder costs nothing");
        let id = estimated.keep(&self.lake).await.unwrap().job.id;
        let approval =
            Approval { by: "ann".to_owned(), at_ms: NOW_MS, budget: 0, speed: Speed::Standard, days: 1 };
        approve(&self.lake, &Jobs::of(&self.lake), &id, approval, &book).await.unwrap();
        id
    }

    async fn run(&self, id: &str, sink: &mut dyn Sink) {
        let book = Book::builtin().unwrap();
        let clock = || NOW_MS;
        let runner = Runner::new(&self.lake, &book, &clock).unwrap();
        let done = runner.advance(id, sink, &mut normalizer(), |_| ()).await.unwrap();
        assert_eq!(done.phase, Phase::Done);
    }
}

pub(crate) fn normalizer() -> Normalizer {
    Normalizer::new(Arc::new(Catalog::builtin().unwrap()))
}

const ANN: &str = "actor_user_name = 'ann'";

#[tokio::test]
async fn expired_days_are_found_by_reading() {
    let real = Real::new(3, 5, |_| ()).await;
    real.expire(1).await;
    let out = real.root.join("out");
    let folder = Destination::Folder(out.display().to_string());
    let id = real.job(ANN, Shape::Ocsf, folder).await;
    real.run(&id, &mut FolderSink::open(&out, Shape::Ocsf).unwrap()).await;
    let mut uids = Vec::new();
    for entry in std::fs::read_dir(&out).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines() {
            let document: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(document["actor"]["user"]["name"], "ann");
            uids.push(document["metadata"]["uid"].as_str().unwrap_or_default().to_owned());
        }
    }
    uids.sort_unstable();
    uids.dedup();
    assert_eq!(uids.len(), 15, "five calls of each of three days, one of which has expired");
}

#[tokio::test]
async fn rows_come_into_a_table_of_their_own_once_and_go_when_their_time_is_over() {
    let real = Real::new(2, 4, |_| ()).await;
    real.expire(1).await;
    let id = real.job(ANN, Shape::Raw, Destination::Table { keep_days: 7 }).await;
    for _ in 0..2 {
        let table = real.lake.rehydrated(true).await.unwrap().unwrap();
        real.run(&id, &mut TableSink::new(table, &id)).await;
        // As if it had died before it could note anything: everything is done again.
        Jobs::of(&real.lake)
            .change(&id, NOW_MS, |job| {
                job.parts.iter_mut().for_each(|part| {
                    part.state = super::super::PartState::Readable { until_ms: None };
                });
                Ok(())
            })
            .await
            .unwrap();
    }
    let table = real.lake.rehydrated(true).await.unwrap().unwrap();
    real.run(&id, &mut TableSink::new(table, &id)).await;
    let sql = "SELECT retention, actor_user_name, event_day FROM rehydrated ORDER BY event_day";
    let rows = async || {
        let (batches, _) =
            real.lake.search(sql, &SearchLimits::default()).await.unwrap().collect().await.unwrap();
        batches
    };
    let found = rows().await;
    assert_eq!(found.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 8);
    let class = arrow::compute::cast(found[0].column(0), &arrow::datatypes::DataType::Utf8).unwrap();
    assert_eq!(class.as_string::<i32>().value(0), id, "whose rows they are");
    let both = "SELECT count(*) AS n FROM events e JOIN rehydrated r ON e.event_id = r.event_id";
    let (batches, _) =
        real.lake.search(both, &SearchLimits::default()).await.unwrap().collect().await.unwrap();
    assert_eq!(
        batches[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0),
        4,
        "one day is in both"
    );
    assert_eq!(tidy(&real.lake, NOW_MS + 6 * DAY_MS).await.unwrap(), 0);
    assert_eq!(tidy(&real.lake, NOW_MS + 8 * DAY_MS).await.unwrap(), 1);
    assert_eq!(rows().await.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 0);
}
