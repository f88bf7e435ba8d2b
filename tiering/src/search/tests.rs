#![allow(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray},
    datatypes::{Int32Type, Int64Type},
};

use super::*;
use crate::{
    delta::Place,
    hot::{HotRows, encode, table_schema},
    policy::{Predicate, RetentionClass},
    sample::{rows, times},
};

const DAY_US: i64 = 86_400_000_000;
/// 2026-01-31, noon.
const NOW_US: i64 = 20_484 * DAY_US + DAY_US / 2;

fn classes() -> Vec<RetentionClass> {
    let days = |n: u64| Duration::from_secs(n * 86_400);
    vec![RetentionClass::new("standard", days(90), days(900))]
}

/// `n` API calls of one file, `back` days ago; ids and addresses look as scattered as real ones.
fn calls(n: usize, file: u64, back: i64) -> HotRows {
    let scattered = |i: usize, salt: u64| {
        let mut x = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ file.wrapping_mul(salt);
        x ^= x >> 29;
        x.wrapping_mul(0xBF58_476D_1CE4_E5B9)
    };
    let text =
        |of: &dyn Fn(usize) -> String| Arc::new(StringArray::from_iter_values((0..n).map(of))) as ArrayRef;
    let given: [(&str, ArrayRef); 8] = [
        ("event_id", text(&|i| format!("{:016x}{:024x}", file, i * 1_048_576))),
        ("raw_hash", text(&|i| format!("{:016x}{:016x}", scattered(i, 3), scattered(i, 5)))),
        ("time", times((0..n as i64).map(|i| NOW_US - back * DAY_US + i * 1000))),
        ("class_uid", Arc::new(Int32Array::from(vec![6003; n]))),
        ("src_endpoint_ip", text(&|i| format!("203.0.{}.{}", scattered(i, 7) % 32, scattered(i, 11) % 250))),
        ("actor_user_uid", text(&|i| format!("arn:aws:iam::111122223333:user/u{}", scattered(i, 13) % 500))),
        ("api_operation", text(&|i| ["GetObject", "PutObject", "ListBuckets"][i % 3].to_owned())),
        ("api_request_uid", text(&|i| format!("{:032x}", scattered(i, 17)))),
    ];
    HotRows {
        rows: rows(n, &given),
        class: vec![0; n],
        segments: [format!("segment-{file}").into()].into(),
        row: (0..n as u32).collect(),
        sub: vec![0; n],
        feed: "trail".into(),
    }
}

async fn table(files: &[HotRows]) -> (tempfile::TempDir, HotTable) {
    let folder = tempfile::tempdir().unwrap();
    let table = HotTable::open(&Place::folder(folder.path()).unwrap()).await.unwrap();
    for (seq, rows) in files.iter().enumerate() {
        let files = encode(std::slice::from_ref(rows), &classes(), NOW_US / 1000).unwrap();
        table.commit(files, "w1", seq as u64).await.unwrap();
    }
    (folder, table)
}

async fn run(table: &HotTable, sql: &str) -> (Vec<RecordBatch>, Explain) {
    let search = table.search(sql, &SearchLimits::default()).await;
    search.unwrap_or_else(|e| panic!("{sql}: {e}")).collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test]
async fn a_needle_costs_few_bytes() {
    let mut files: Vec<HotRows> = (0..4).map(|n| calls(50_000, n, n as i64)).collect();
    let mut column: Vec<String> =
        files[2].rows["src_endpoint_ip"].as_string::<i32>().iter().map(|ip| ip.unwrap().to_owned()).collect();
    column[31_234] = "203.0.16.251".into();
    let at = files[2].rows.schema().index_of("src_endpoint_ip").unwrap();
    let mut columns = files[2].rows.columns().to_vec();
    columns[at] = Arc::new(StringArray::from(column));
    files[2].rows = RecordBatch::try_new(files[2].rows.schema(), columns).unwrap();
    let (_folder, table) = table(&files).await;
    let stored: u64 = table.stats().await.unwrap().values().map(|s| s.bytes).sum();

    let (found, cost) = run(&table, "SELECT * FROM events WHERE src_endpoint_ip = '203.0.16.251'").await;
    assert_eq!(count(&found), 1);
    assert_eq!(found[0]["row"].as_primitive::<Int32Type>().value(0), 31_234);
    assert_eq!(found[0]["segment"].as_string::<i32>().value(0), "segment-2");
    assert_eq!((cost.files_total, cost.row_groups_by_bloom), (4, 3), "{cost}");
    assert!(cost.bytes_read < 1_300_000 && cost.bytes_read * 6 < stored, "{cost}\nof {stored}");

    let absent = format!("SELECT * FROM events WHERE event_id = '{:016x}{:024x}'", 1, 777 * 1_048_576 + 1);
    let (found, cost) = run(&table, &absent).await;
    assert_eq!((count(&found), cost.row_groups_by_statistics, cost.row_groups_by_bloom), (0, 3, 1), "{cost}");
    assert!(cost.bytes_read < 250_000, "{cost}");

    let one =
        format!("SELECT segment, row FROM events WHERE event_id = '{:016x}{:024x}'", 1, 777 * 1_048_576);
    let (found, cost) = run(&table, &one).await;
    assert_eq!(count(&found), 1);
    assert!(cost.bytes_read < 250_000, "{cost}");
}

#[tokio::test]
async fn the_log_rules_out_files() {
    let (_folder, table) = table(&[calls(100, 0, 0), calls(100, 1, 1), calls(100, 2, 2)]).await;
    for (filter, files, rows) in [
        ("event_day = '2026-01-30'", 1, 100),
        ("event_day >= '2026-01-30'", 2, 200),
        ("retention = 'standard'", 3, 300),
        ("retention = 'other'", 0, 0),
        ("time >= '2026-01-31T00:00:00Z'", 1, 100),
        ("time < '2026-01-30T00:00:00Z'", 1, 100),
        ("class_uid = 4001", 0, 0),
        ("feed = 'trail' AND class_uid > 6000", 3, 300),
    ] {
        let (found, cost) = run(&table, &format!("SELECT row FROM events WHERE {filter}")).await;
        assert_eq!(
            (count(&found), cost.files_matched, cost.files_total),
            (rows, files, 3),
            "{filter}\n{cost}"
        );
        assert_eq!(cost.files_read, files, "{filter}\n{cost}");
    }
    let (found, cost) = run(&table, "SELECT count(*) FROM events").await;
    assert_eq!(found[0].column(0).as_primitive::<Int64Type>().value(0), 300);
    assert_eq!(cost.bytes_read, 0, "{cost}");
    let (found, _) =
        run(&table, "SELECT api_operation, count(*) AS n FROM events GROUP BY 1 ORDER BY 1").await;
    assert_eq!(found[0]["n"].as_primitive::<Int64Type>().values(), &[102, 99, 99]);
}

#[tokio::test]
async fn only_reading_queries_are_allowed() {
    let (folder, table) = table(&[calls(10, 0, 0)]).await;
    let out = folder.path().join("out.csv");
    let out = out.display();
    for sql in [
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "DROP TABLE events",
        "INSERT INTO events VALUES (1)",
        "DELETE FROM events",
        "UPDATE events SET row = 1",
        "TRUNCATE TABLE events",
        &format!("COPY events TO '{out}'"),
        &format!("EXPLAIN COPY events TO '{out}'"),
        &format!("EXPLAIN ANALYZE COPY events TO '{out}'"),
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "SHOW TABLES",
        "DESCRIBE events",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "SELECT 1; SELECT 2",
        "SELECT row INTO t FROM events",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'file:///etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('http://192.0.2.1/a.parquet')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT * FROM information_schema.tables",
        "SELECT nosuch FROM events",
        "SELECT",
        "",
    ] {
        let refused = table.search(sql, &SearchLimits::default()).await;
        let error = refused.err().unwrap_or_else(|| panic!("`{sql}` was allowed"));
        assert!(matches!(error, SearchError::Refused(_) | SearchError::Sql(_)), "{sql}: {error:?}");
        assert!(!error.to_string().is_empty());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    for sql in [
        "SELECT row FROM events",
        "WITH e AS (SELECT row FROM events) SELECT * FROM e JOIN events USING (row)",
        "EXPLAIN SELECT row FROM events",
        "EXPLAIN ANALYZE SELECT row FROM events",
        "VALUES (1)",
        "SELECT 1 UNION ALL SELECT 2",
    ] {
        assert!(count(&run(&table, sql).await.0) > 0, "{sql}");
    }
}

#[tokio::test]
async fn memory_and_time_are_limited() {
    let (_folder, table) = table(&[calls(20_000, 0, 0)]).await;
    let sort = "SELECT * FROM events ORDER BY raw_hash";
    let limits = SearchLimits { memory_bytes: 1 << 20, ..SearchLimits::default() };
    let outcome = match table.search(sort, &limits).await {
        Ok(search) => search.collect().await.err(),
        Err(error) => Some(error),
    };
    assert!(matches!(outcome, Some(SearchError::Memory(1_048_576))), "{outcome:?}");
    let limits = SearchLimits { time: Duration::from_millis(300), ..SearchLimits::default() };
    let endless = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    let outcome = match table.search(endless, &limits).await {
        Ok(search) => search.collect().await.err(),
        Err(error) => Some(error),
    };
    assert!(matches!(outcome, Some(SearchError::Time(_))), "{outcome:?}");
}

#[tokio::test]
async fn rows_where_gives_addresses() {
    let (_folder, table) = table(&[calls(3000, 0, 0), calls(3000, 1, 1)]).await;
    let predicate = Predicate::compile("api_operation = 'PutObject'", crate::policy::schema()).unwrap();
    let noon = NOW_US / 1000;
    let columns = ["segment", "row", "sub", "event_id"];
    let search =
        table.rows_where(Some(&predicate), noon..noon + 9, &columns, &SearchLimits::default()).await.unwrap();
    let (found, cost) = search.collect().await.unwrap();
    let rows: Vec<i32> =
        found.iter().flat_map(|b| b["row"].as_primitive::<Int32Type>().values().to_vec()).collect();
    assert_eq!(rows, [1, 4, 7]);
    assert_eq!(found[0].schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), columns);
    assert_eq!((cost.files_matched, cost.rows), (1, 3), "{cost}");
    let search = table.rows_where(None, 0..i64::MAX, &[], &SearchLimits::default()).await.unwrap();
    assert_eq!(search.schema(), table_schema());
    assert_eq!(count(&search.collect().await.unwrap().0), 6000);
}

#[tokio::test]
async fn rows_are_written_in_every_format() {
    let (_folder, table) = table(&[calls(3, 0, 0)]).await;
    let sql = "SELECT time, class_uid, status_id, api_operation FROM events WHERE row < 2 ORDER BY row";
    let (batches, _) = run(&table, sql).await;
    let write = |format| {
        let mut out = Vec::new();
        let mut writer = RowsWriter::new(format, &batches[0].schema(), &mut out).unwrap();
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
        out
    };
    let text = |format| String::from_utf8(write(format)).unwrap();
    assert_eq!(
        text(Format::Json),
        "[{\"time\":\"2026-01-31T12:00:00Z\",\"class_uid\":6003,\"api_operation\":\"GetObject\"},\
         {\"time\":\"2026-01-31T12:00:00.001Z\",\"class_uid\":6003,\"api_operation\":\"PutObject\"}]\n"
    );
    assert_eq!(
        text(Format::Csv),
        "time,class_uid,status_id,api_operation\n\
         2026-01-31T12:00:00Z,6003,,GetObject\n2026-01-31T12:00:00.001Z,6003,,PutObject\n"
    );
    assert!(
        text(Format::Table).contains("| 2026-01-31T12:00:00.001Z | 6003      |           | PutObject     |")
    );
    let parquet = bytes::Bytes::from(write(Format::Parquet));
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap();
    let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(read, batches);
    // no rows are an empty array and a bare header
    let empty = |format| {
        let mut out = Vec::new();
        RowsWriter::new(format, &batches[0].schema(), &mut out).unwrap().finish().unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(empty(Format::Json), "[]\n");
    assert_eq!(empty(Format::Csv), "time,class_uid,status_id,api_operation\n");
}
