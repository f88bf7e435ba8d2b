//! Rows are exchanged as a whole, once, and nothing else is.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use linchpin_normalize::columns;

use super::{RenormalizeError, Request, prepare};
use crate::{
    hot::HotRows,
    jobs::tests::real::{NOW_MS, Real, normalizer},
    policy::{self, Predicate},
    search::SearchLimits,
};

/// What an older mapping said: no operation, and another region.
fn older(rows: &mut HotRows) {
    let n = rows.rows.num_rows();
    let mut arrays = rows.rows.columns().to_vec();
    let regions: ArrayRef = Arc::new(StringArray::from(vec!["eu"; n]));
    arrays[columns::index("cloud_region").unwrap()] = regions;
    let operation = columns::index("api_operation").unwrap();
    arrays[operation] = arrow::array::new_null_array(arrays[operation].data_type(), n);
    rows.rows = arrow::array::RecordBatch::try_new(columns::schema(), arrays).unwrap();
}

fn request(sql: &str) -> Request {
    let predicate = Predicate::compile(sql, policy::schema()).unwrap();
    Request { predicate, period: 0..i64::MAX / 2000, limits: SearchLimits::default() }
}

async fn rows(real: &Real, sql: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM events WHERE {sql}");
    let (batches, _) =
        real.lake.search(&sql, &SearchLimits::default()).await.unwrap().collect().await.unwrap();
    batches[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0)
}

#[tokio::test]
async fn a_report_comes_first_and_then_the_rows_are_exchanged_at_once() {
    let real = Real::new(3, 4, older).await;
    let ann = "actor_user_name = 'ann'";
    assert_eq!((rows(&real, "true").await, rows(&real, "api_operation IS NULL").await), (24, 24));

    let prepared = prepare(&real.lake, &request(ann), &mut normalizer(), false, "ann").await.unwrap();
    let report = prepared.report.clone();
    assert_eq!((report.events, report.rows_before, report.rows_after, report.rows_same), (12, 12, 12, 0));
    let named: Vec<(&str, u64, u64)> =
        report.columns.iter().map(|c| (c.column.as_str(), c.changed, c.added)).collect();
    assert!(named.contains(&("api_operation", 0, 12)), "{named:?}");
    assert!(named.contains(&("cloud_region", 12, 0)), "{named:?}");
    assert_eq!(named.len(), 2, "{named:?}");
    let region = report.columns.iter().find(|c| c.column == "cloud_region").unwrap();
    assert_eq!((region.example.1.as_str(), region.example.2.as_str()), ("eu", "eu-central-1"));
    assert_eq!(rows(&real, "api_operation IS NULL").await, 24, "a report changes nothing");

    let prepared = prepare(&real.lake, &request(ann), &mut normalizer(), true, "ann").await.unwrap();
    assert_eq!(rows(&real, "true").await, 24, "new rows are not seen yet");
    assert_eq!(prepared.replace(&real.lake, NOW_MS).await.unwrap(), 12);
    assert_eq!((rows(&real, "true").await, rows(&real, "api_operation IS NULL").await), (24, 12));
    assert_eq!(rows(&real, &format!("{ann} AND api_operation = 'GetObject'")).await, 12);

    // The same again finds nothing to change, and changes nothing.
    let again = prepare(&real.lake, &request(ann), &mut normalizer(), true, "ann").await.unwrap();
    assert_eq!((again.report.rows_same, again.report.columns.len()), (12, 0));
    assert_eq!(again.replace(&real.lake, NOW_MS).await.unwrap(), 12);
    assert_eq!(rows(&real, "true").await, 24);
    assert_eq!(real.lake.ledger.facts_of("hot_rebuilt").await.unwrap().len(), 2);
}

#[tokio::test]
async fn rows_that_went_meanwhile_stop_an_exchange() {
    let real = Real::new(2, 3, older).await;
    let prepared = prepare(&real.lake, &request("true"), &mut normalizer(), true, "ann").await.unwrap();
    let day = crate::hot::event_day(NOW_MS * 1000, NOW_MS).unwrap();
    real.lake.hot.drop_partitions(|(_, of)| *of == day).await.unwrap();
    let refused = prepared.replace(&real.lake, NOW_MS).await;
    assert!(matches!(refused, Err(RenormalizeError::Changed { expected: 12, found: 6 })), "{refused:?}");
    assert_eq!(rows(&real, "api_operation IS NULL").await, 6, "nothing was replaced");
}

#[tokio::test]
async fn compaction_in_between_changes_nothing() {
    let real = Real::new(1, 10, older).await;
    // Every exchange leaves a small file, so that there is something to merge.
    for n in 0..9 {
        let only = format!("api_request_uid = 'ann-0-{n}'");
        let one = prepare(&real.lake, &request(&only), &mut normalizer(), true, "ann").await.unwrap();
        assert_eq!(one.replace(&real.lake, NOW_MS).await.unwrap(), 1);
    }
    let prepared = prepare(&real.lake, &request("true"), &mut normalizer(), true, "ann").await.unwrap();
    assert!(real.lake.hot.compact().await.unwrap().removed >= crate::hot::COMPACT_FILES_MIN);
    assert_eq!(prepared.replace(&real.lake, NOW_MS).await.unwrap(), 20);
    assert_eq!((rows(&real, "true").await, rows(&real, "api_operation IS NULL").await), (20, 0));
}
