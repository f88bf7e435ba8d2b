#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::{Int32Type, TimestampMicrosecondType},
};
use bytes::Bytes;
use jiff::civil::{Date, date};
use linchpin_normalize::columns::COLUMNS;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    file::reader::{FileReader, SerializedFileReader},
};

use super::*;
use crate::{
    delta::Place,
    policy::RetentionClass,
    sample::{rows, times},
    search::SearchLimits,
};

const DAY_MS: i64 = 86_400_000;
const DAY_US: i64 = DAY_MS * 1000;
/// 2026-01-31, noon.
const NOW_MS: i64 = 20_484 * DAY_MS + DAY_MS / 2;

fn classes() -> Vec<RetentionClass> {
    let days = |n: u64| Duration::from_hours(n * 24);
    let class = |name: &str, hot_days: u64| RetentionClass::new(name, days(hot_days), days(3650));
    vec![class("critical", 400), class("bulk", 7)]
}

/// Rows of both classes in turn with these times; the number in the segment is the row's index.
fn hot_rows(feed: &str, micros: &[i64]) -> HotRows {
    let n = micros.len();
    let ips = (0..n).map(|i| (i % 3 != 0).then(|| format!("192.0.2.{}", i % 200))).collect::<StringArray>();
    let class_uids = Int32Array::from_iter_values((0..n as i32).map(|i| 6003 - 2002 * (i % 2)));
    let given: [(&str, ArrayRef); 3] = [
        ("time", times(micros.iter().copied())),
        ("class_uid", Arc::new(class_uids)),
        ("src_endpoint_ip", Arc::new(ips)),
    ];
    HotRows {
        rows: rows(n, &given),
        class: (0..n).map(|i| u8::from(i % 4 >= 2)).collect(),
        segments: [format!("{feed}-critical").into(), format!("{feed}-bulk").into()].into(),
        row: (0..n as u32).collect(),
        sub: vec![0; n],
        feed: feed.into(),
    }
}

fn read(bytes: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn lake() -> (tempfile::TempDir, Place) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::folder(folder.path()).unwrap();
    (folder, place)
}

fn files(feed: &str, micros: &[i64]) -> Vec<HotFile> {
    encode(&[hot_rows(feed, micros)], &classes(), NOW_MS).unwrap()
}

async fn total(table: &HotTable) -> HotStats {
    let mut total = HotStats::default();
    table.stats().await.unwrap().into_values().for_each(|s| total += s);
    total
}

#[test]
fn rows_come_back_sorted_and_equal() {
    let today = NOW_MS * 1000;
    let a: Vec<i64> = (0..9000).map(|i| today - (i * 7919 % 1_000_003)).collect();
    let b: Vec<i64> = (0..50).map(|i| today - i).collect();
    let given = [hot_rows("a", &a), hot_rows("b", &b)];
    let files = encode(&given, &classes(), NOW_MS).unwrap();
    assert_eq!(
        files.iter().map(|f| (f.class.as_str(), f.day, f.rows)).collect::<Vec<_>>(),
        [("critical", date(2026, 1, 31), 4500 + 26), ("bulk", date(2026, 1, 31), 4500 + 24)]
    );
    for (class, file) in files.iter().enumerate() {
        let read = read(&file.bytes);
        assert_eq!(read.num_rows() as u64, file.rows);
        let class_uids = read["class_uid"].as_primitive::<Int32Type>().values();
        let micros = read["time"].as_primitive::<TimestampMicrosecondType>().values();
        let keys: Vec<(i32, i64)> = class_uids.iter().copied().zip(micros.iter().copied()).collect();
        assert!(keys.is_sorted());
        // every row is the one that its address names
        let feeds = read["feed"].as_string::<i32>();
        for i in 0..read.num_rows() {
            let from = &given[usize::from(feeds.value(i) == "b")];
            let row = read[ROW].as_primitive::<Int32Type>().value(i) as usize;
            assert_eq!(usize::from(from.class[row]), class);
            assert_eq!(read[SEGMENT].as_string::<i32>().value(i), &*from.segments[class]);
            assert!(!read[DAY_MOVED].as_boolean().value(i));
            for (n, column) in COLUMNS.iter().enumerate() {
                let (was, is) = (from.rows.column(n).slice(row, 1), read[column.name].slice(i, 1));
                assert_eq!(was.to_data(), is.to_data(), "{}", column.name);
            }
        }
    }
}

#[test]
fn files_carry_indexes_bloom_filters_and_statistics() {
    let micros: Vec<i64> = (0..20_000).map(|i| NOW_MS * 1000 + i).collect();
    let file = &files("a", &micros)[0];
    let reader = SerializedFileReader::new(file.bytes.clone()).unwrap();
    let group = reader.metadata().row_group(0);
    for chunk in group.columns() {
        let name = chunk.column_descr().name();
        let bloom = COLUMNS.iter().any(|c| c.bloom && c.name == name);
        assert_eq!(chunk.bloom_filter_offset().is_some(), bloom, "{name}");
        assert!(chunk.offset_index_offset().is_some() && chunk.column_index_offset().is_some(), "{name}");
    }
    let stats: serde_json::Value = serde_json::from_str(&file.stats).unwrap();
    let ip_nulls = read(&file.bytes)["src_endpoint_ip"].null_count();
    assert_eq!(stats["numRecords"], 10_000);
    assert_eq!(stats["minValues"]["time"], "2026-01-31T12:00:00.000000Z");
    assert_eq!(stats["maxValues"]["time"], "2026-01-31T12:00:00.019997Z");
    assert_eq!(
        (&stats["minValues"]["class_uid"], &stats["maxValues"]["class_uid"]),
        (&4001.into(), &6003.into())
    );
    assert_eq!(stats["maxValues"]["src_endpoint_ip"], "192.0.2.97");
    assert_eq!(stats["nullCount"]["src_endpoint_ip"], ip_nulls);
    assert_eq!(stats["nullCount"]["dst_endpoint_ip"], 10_000);
    assert_eq!(stats["minValues"]["dst_endpoint_ip"], serde_json::Value::Null);
}

#[test]
fn implausible_days_go_to_the_day_of_ingest() {
    let today = 20_484 * DAY_US;
    let micros = [
        today,
        today - 30 * DAY_US,
        today - 31 * DAY_US,
        today + DAY_US,
        today + 2 * DAY_US,
        0,
        i64::MAX,
        i64::MIN,
    ];
    let given = HotRows { class: vec![0; 8], ..hot_rows("a", &micros) };
    let files = encode(&[given], &classes(), NOW_MS).unwrap();
    let days: Vec<(Date, Vec<i32>)> = files
        .iter()
        .map(|file| {
            let read = read(&file.bytes);
            let moved = read[DAY_MOVED].as_boolean();
            let rows = read[ROW].as_primitive::<Int32Type>().values();
            let mut moved: Vec<i32> = (0..rows.len()).filter(|i| moved.value(*i)).map(|i| rows[i]).collect();
            moved.sort_unstable();
            (file.day, moved)
        })
        .collect();
    assert_eq!(
        days,
        [(date(2026, 1, 1), vec![]), (date(2026, 1, 31), vec![2, 4, 5, 6, 7]), (date(2026, 2, 1), vec![])]
    );
}

#[test]
fn a_commit_touches_a_bounded_number_of_days() {
    let many: Vec<RetentionClass> =
        (0..8).map(|n| RetentionClass { name: format!("c{n}"), ..classes()[0].clone() }).collect();
    let micros: Vec<i64> = (0..8 * 30).map(|i| NOW_MS * 1000 - (i / 8) * DAY_US).collect();
    let n = micros.len();
    let given = HotRows {
        class: (0..n).map(|i| (i % 8) as u8).collect(),
        segments: vec!["s".into(); 8].into(),
        ..hot_rows("a", &micros)
    };
    let files = encode(&[given], &many, NOW_MS).unwrap();
    assert_eq!(files.len(), COMMIT_PARTITIONS_MAX);
    assert_eq!(files.iter().map(|f| f.rows).sum::<u64>(), n as u64);
    let today = files.iter().filter(|f| f.day == date(2026, 1, 31));
    assert_eq!(today.map(|f| f.rows).sum::<u64>(), 240 - 120);
}

#[test]
fn rows_that_do_not_fit_together_are_refused() {
    let short = HotRows { sub: vec![], ..hot_rows("a", &[0]) };
    let nowhere = HotRows { segments: ["".into()].into(), ..hot_rows("a", &[0]) };
    let classless = HotRows { class: vec![7], ..hot_rows("a", &[0]) };
    for (given, text) in [(short, "1 rows, but"), (nowhere, "no segment for class 0"), (classless, "index 7")]
    {
        assert!(encode(&[given], &classes(), NOW_MS).unwrap_err().to_string().contains(text), "{text}");
    }
}

#[tokio::test]
async fn an_epoch_is_added_once_however_often_it_is_tried() {
    let (_folder, lake) = lake();
    let table = HotTable::open(&lake).await.unwrap();
    assert_eq!(table.position("w1").await.unwrap(), None);
    let epoch = || files("a", &[NOW_MS * 1000; 4]);
    assert!(table.commit(epoch(), "w1", 1).await.unwrap().added);
    // the same handle, a fresh one, and one that is behind
    let (stale, fresh) = (HotTable::open(&lake).await.unwrap(), HotTable::open(&lake).await.unwrap());
    assert!(!table.commit(epoch(), "w1", 1).await.unwrap().added);
    assert!(!fresh.commit(epoch(), "w1", 1).await.unwrap().added);
    assert_eq!(total(&fresh).await.rows, 4);
    // an epoch without rows moves the position only
    assert!(fresh.commit(Vec::new(), "w1", 2).await.unwrap().added);
    assert_eq!(stale.position("w1").await.unwrap(), Some(2));
    assert_eq!(stale.position("w2").await.unwrap(), None);
    assert!(!stale.commit(epoch(), "w1", 2).await.unwrap().added);
    assert_eq!(total(&stale).await.rows, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_that_commit_at_once_add_every_epoch_once() {
    let (_folder, lake) = lake();
    HotTable::open(&lake).await.unwrap();
    let tasks: Vec<_> = ["w1", "w1", "w2"]
        .into_iter()
        .map(|worker| {
            let lake = lake.clone();
            tokio::spawn(async move {
                let table = HotTable::open(&lake).await.unwrap();
                let mut added = 0;
                for seq in 1..=4 {
                    let commit = table.commit(files(worker, &[NOW_MS * 1000; 2]), worker, seq).await.unwrap();
                    added += usize::from(commit.added);
                }
                added
            })
        })
        .collect();
    let mut added = 0;
    for task in tasks {
        added += task.await.unwrap();
    }
    let table = HotTable::open(&lake).await.unwrap();
    assert_eq!((added, total(&table).await.rows), (8, 16));
    assert_eq!(table.position("w1").await.unwrap(), Some(4));
}

#[tokio::test]
async fn only_days_older_than_their_class_is_hot_expire() {
    let (folder, lake) = lake();
    let table = HotTable::open(&lake).await.unwrap();
    let today = 20_484 * DAY_US;
    let micros: Vec<i64> = [0, 6, 7, 8, 9].iter().flat_map(|back| [today - back * DAY_US; 4]).collect();
    table.commit(files("a", &micros), "w1", 1).await.unwrap();
    let log = || std::fs::read_dir(folder.path().join("hot/retention=bulk")).unwrap().count();
    assert_eq!(log(), 5);
    let dropped = table.expire(&classes(), NOW_MS).await.unwrap();
    assert_eq!(dropped, [("bulk".to_owned(), date(2026, 1, 22)), ("bulk".to_owned(), date(2026, 1, 23))]);
    let left: BTreeMap<(String, Date), u64> =
        table.stats().await.unwrap().into_iter().map(|(partition, stats)| (partition, stats.rows)).collect();
    assert_eq!(left.len(), 8);
    assert!(left.contains_key(&("bulk".to_owned(), date(2026, 1, 24))));
    assert!(left.contains_key(&("critical".to_owned(), date(2026, 1, 22))));
    // nothing more to do, nothing committed; a class nobody defines any more stays
    let version = table.fresh().await.unwrap().version();
    assert_eq!(table.expire(&classes(), NOW_MS).await.unwrap(), []);
    assert_eq!(table.expire(&[], i64::MAX / 2).await.unwrap(), []);
    assert_eq!(table.fresh().await.unwrap().version(), version);
    // positions outlive the rows
    assert_eq!(table.position("w1").await.unwrap(), Some(1));
}

#[tokio::test]
async fn compaction_merges_sorted_and_changes_no_row() {
    let (folder, lake) = lake();
    let table = HotTable::open(&lake).await.unwrap();
    let writer = HotTable::open(&lake).await.unwrap();
    let n = COMPACT_FILES_MIN as i64;
    for seq in 0..n {
        let micros: Vec<i64> = (0..40).map(|i| NOW_MS * 1000 + i * n + seq).collect();
        writer.commit(files(&format!("f{seq}"), &micros), "w1", seq as u64).await.unwrap();
    }
    let all = "SELECT * EXCLUDE (segment) FROM events ORDER BY feed, row";
    let before = table.search(all, &SearchLimits::default()).await.unwrap().collect().await.unwrap().0;
    let done = table.compact().await.unwrap();
    let merged = COMPACT_FILES_MIN / COMPACT_FILES_EACH;
    assert_eq!((done.removed, done.added), (2 * COMPACT_FILES_MIN, 2 * merged));
    let stats = table.stats().await.unwrap();
    assert_eq!(stats.len(), 2);
    assert!(stats.values().all(|s| s.files == merged as u64 && s.rows == 20 * n as u64));
    let after = table.search(all, &SearchLimits::default()).await.unwrap().collect().await.unwrap().0;
    assert_eq!(
        concat_batches(&before[0].schema(), &before).unwrap(),
        concat_batches(&after[0].schema(), &after).unwrap()
    );
    for file in super::table::log_files(&table.fresh().await.unwrap()).unwrap() {
        let file = std::fs::File::open(folder.path().join("hot").join(&*file.path())).unwrap();
        let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
        let rows = concat_batches(&batches[0].schema(), &batches).unwrap();
        let class_uids = rows["class_uid"].as_primitive::<Int32Type>().values().iter().copied();
        let micros = rows["time"].as_primitive::<TimestampMicrosecondType>().values().iter().copied();
        assert!(class_uids.zip(micros).collect::<Vec<_>>().is_sorted());
    }
    assert_eq!(table.compact().await.unwrap(), Compacted::default());
    // the epochs stay known
    assert_eq!(table.position("w1").await.unwrap(), Some(n as u64 - 1));
}

#[tokio::test]
async fn vacuum_deletes_only_what_is_old_and_not_in_the_table() {
    let (folder, lake) = lake();
    let table = HotTable::open(&lake).await.unwrap();
    table.commit(files("a", &[NOW_MS * 1000 - 20 * DAY_US; 4]), "w1", 1).await.unwrap();
    assert_eq!(table.expire(&classes(), NOW_MS).await.unwrap().len(), 1);
    let bulk = folder.path().join("hot/retention=bulk/event_day=2026-01-11");
    let week_ago = std::time::SystemTime::now() - Duration::from_hours(8 * 24);
    for (name, old) in [("orphan.parquet", true), ("in-flight.parquet", false)] {
        let file = std::fs::File::create(bulk.join(name)).unwrap();
        if old {
            file.set_modified(week_ago).unwrap();
        }
    }
    assert_eq!(table.vacuum().await.unwrap(), 1);
    // left: what expired just now, and what may be about to be committed
    assert_eq!(std::fs::read_dir(&bulk).unwrap().count(), 2);
    assert!(!bulk.join("orphan.parquet").exists());
    assert_eq!(total(&table).await.rows, 2);
}
