//! Delta Lake tables: where they are, creating, loading, writing one Parquet file, committing.
//!
//! Every table of ours is written by itself: a sorted Parquet file is put first, then a commit names
//! it. A file without a commit is invisible. Tables need a store with create-only puts; on a local
//! disk every file is synced before it is named.

mod bucket;
mod credentials;
mod objects;
mod place;
mod reader;
mod stats;
mod synced;

use std::{collections::HashMap, fmt};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bytes::Bytes;
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{
        Action, Add, StructType, Transaction, Version,
        engine::arrow_conversion::TryIntoKernel,
        transaction::{CommitBuilder, CommitData, CommitProperties, TransactionError},
    },
    logstore::LogStoreRef,
    operations::create::CreateBuilder,
    protocol::DeltaOperation,
};
use jiff::Timestamp;
use linchpin_store::durable::create_folder;
use object_store::{ObjectStoreExt as _, PutMode, buffered::BufWriter, path::Path as ObjectPath};
use parquet::{arrow::ArrowWriter, errors::ParquetError, file::properties::WriterProperties};
use ulid::Ulid;

pub use place::Place;
pub use reader::TableFile;

/// What Delta Lake writes in a path for a partition value that is null.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Bytes of a file that are kept until they are put: the least that S3 takes as a part.
const PART_BYTES: usize = 5 << 20;

/// What went wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// The table could not be loaded, created or committed to.
    #[error("table `{table}` failed: {source}")]
    Table {
        /// URL of the table.
        table: String,
        /// Cause.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A Parquet file of the table could not be written or read.
    #[error("parquet file `{path}` failed: {source}")]
    Parquet {
        /// Path within the table.
        path: String,
        /// Cause.
        #[source]
        source: ParquetError,
    },
    /// The store failed on a file of the table.
    #[error("file `{path}` failed: {source}")]
    Object {
        /// Path within the table.
        path: String,
        /// Cause.
        #[source]
        source: object_store::Error,
    },
    /// The place cannot hold tables.
    #[error("place `{place}` cannot be used: {why}")]
    Place {
        /// Path or URL.
        place: String,
        /// Cause.
        why: String,
    },
}

impl DeltaError {
    fn table(table: &impl fmt::Display, source: DeltaTableError) -> Self {
        Self::Table { table: table.to_string(), source: Box::new(source) }
    }

    /// Whether a commit lost against another one: load again, check again, commit again.
    pub fn is_conflict(&self) -> bool {
        let Self::Table { source, .. } = self else { return false };
        match &**source {
            DeltaTableError::VersionAlreadyExists(_) => true,
            DeltaTableError::Transaction { source } => matches!(
                source,
                TransactionError::VersionAlreadyExists(_)
                    | TransactionError::CommitConflict(_)
                    | TransactionError::MaxCommitAttempts(_)
            ),
            _ => false,
        }
    }
}

/// Loads the table at `place`, or `None` if there is none.
pub async fn load(place: &Place) -> Result<Option<DeltaTable>, DeltaError> {
    // The library takes a missing folder for a broken address.
    if place.path().is_some_and(|path| !path.is_dir()) {
        return Ok(None);
    }
    let mut table = place.table()?;
    match table.load().await {
        Ok(()) => Ok(Some(table)),
        Err(DeltaTableError::NotATable(_)) => Ok(None),
        Err(e) => Err(DeltaError::table(place.url(), e)),
    }
}

/// What a table is created with.
#[derive(Debug, Clone)]
pub struct TableSpec<'a> {
    /// Name in the table's metadata.
    pub name: &'a str,
    /// Columns, with the partition columns.
    pub schema: SchemaRef,
    /// Partition columns, outermost first.
    pub partition_by: &'a [&'a str],
    /// Table properties (`delta.…`).
    pub properties: &'a [(&'a str, &'a str)],
}

/// Loads the table at `place`, and creates it where there is none. Of several that create it at
/// once, one does and the others load it.
pub async fn open_or_create(place: &Place, spec: &TableSpec<'_>) -> Result<DeltaTable, DeltaError> {
    let fail = |e| DeltaError::table(place.url(), e);
    // Looked for first in a bucket, where the library reports a missing table as an error.
    let expected =
        place.path().is_some() || place.table()?.log_store().is_delta_table_location().await.map_err(fail)?;
    if expected && let Some(table) = load(place).await? {
        return Ok(table);
    }
    if let Some(path) = place.path() {
        create_folder(&path)
            .map_err(|e| DeltaError::Place { place: place.url().to_string(), why: e.to_string() })?;
    }
    let schema: StructType =
        spec.schema.as_ref().try_into_kernel().map_err(|e| fail(DeltaTableError::from(e)))?;
    let properties = spec.properties.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned())));
    let created = CreateBuilder::new()
        .with_log_store(place.table()?.log_store())
        .with_table_name(spec.name)
        .with_columns(schema.fields().cloned())
        .with_partition_columns(spec.partition_by.iter().copied())
        .with_configuration(properties)
        // Otherwise the loser would rebase its creation onto the winner's table.
        .with_commit_properties(CommitProperties::default().with_max_retries(0))
        .await;
    match created {
        Ok(table) => Ok(table),
        Err(e) => load(place).await?.ok_or_else(|| fail(e)),
    }
}

/// Encodes `batches` (without the partition columns) as one Parquet file, puts it under a fresh name
/// and gives the action that adds it, with statistics of the columns `stats`. Nobody sees the file
/// before that action is committed.
pub async fn write_file(
    log: &LogStoreRef,
    partition: &[(&str, Option<String>)],
    batches: Vec<RecordBatch>,
    properties: WriterProperties,
    stats: &[&str],
) -> Result<Add, DeltaError> {
    let statistics = stats::of(&batches, stats);
    let parquet = |source| DeltaError::Parquet { path: file_path(partition), source };
    let encoded = tokio::task::spawn_blocking(move || encode(&batches, properties)).await;
    let bytes = encoded.map_err(|e| parquet(ParquetError::External(Box::new(e))))?.map_err(parquet)?;
    put_file(log, partition, bytes, statistics).await
}

/// Puts an encoded Parquet file under a fresh name and gives the action that adds it; `stats` is the
/// JSON text of its statistics. Nobody sees the file before that action is committed.
pub async fn put_file(
    log: &LogStoreRef,
    partition: &[(&str, Option<String>)],
    bytes: Bytes,
    stats: String,
) -> Result<Add, DeltaError> {
    let path = file_path(partition);
    let object = |source| DeltaError::Object { path: path.clone(), source };
    let size = bytes.len();
    let location = ObjectPath::parse(&path).map_err(|e| object(e.into()))?;
    log.object_store(None).put(&location, bytes.into()).await.map_err(object)?;
    Ok(added(path, partition, size, stats))
}

/// A fresh path in a partition, and what puts a file there while it is written. It is to be seen once
/// its action ([`added`]) is committed.
pub fn open_file(
    log: &LogStoreRef,
    partition: &[(&str, Option<String>)],
) -> Result<(String, BufWriter), DeltaError> {
    let path = file_path(partition);
    let location = ObjectPath::parse(&path)
        .map_err(|source| DeltaError::Object { path: path.clone(), source: source.into() })?;
    let writer = BufWriter::with_capacity(log.object_store(None), location, PART_BYTES);
    Ok((path, writer.with_max_concurrency(1)))
}

/// The action that adds a file of `size` bytes; `stats` is the JSON text of its statistics.
pub fn added(path: String, partition: &[(&str, Option<String>)], size: usize, stats: String) -> Add {
    Add {
        path,
        partition_values: partition.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
        size: size as i64,
        modification_time: Timestamp::now().as_millisecond(),
        data_change: true,
        stats: Some(stats),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

fn encode(batches: &[RecordBatch], properties: WriterProperties) -> Result<Bytes, ParquetError> {
    let Some(first) = batches.first() else { return Err(ParquetError::General("no rows".to_owned())) };
    let mut writer = ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
        // A batch is a row group at least: callers put unlike rows into batches of their own.
        writer.flush()?;
    }
    Ok(writer.into_inner()?.into())
}

/// A fresh path: partition values as folders where they are plain names, and a unique file name.
fn file_path(partition: &[(&str, Option<String>)]) -> String {
    let plain = |v: &str| v.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let folders = partition.iter().map(|(name, value)| match value.as_deref() {
        None | Some("") => format!("{name}={NULL_PARTITION}/"),
        Some(v) if plain(v) => format!("{name}={v}/"),
        // Only the action's partition values count; the folder is for people.
        Some(_) => format!("{name}=other/"),
    });
    folders.chain([format!("{}.zstd.parquet", Ulid::new())]).collect()
}

/// Commits from the snapshot that `table` holds, which moves on to the new version. With `retries`
/// 0 the commit fails ([`DeltaError::is_conflict`]) if anybody committed since the snapshot.
pub async fn commit(
    table: &mut DeltaTable,
    actions: Vec<Action>,
    operation: DeltaOperation,
    transactions: Vec<Transaction>,
    retries: usize,
) -> Result<Version, DeltaError> {
    let url = table.table_url().clone();
    let fail = |e| DeltaError::table(&url, e);
    let properties =
        CommitProperties::default().with_application_transactions(transactions).with_max_retries(retries);
    let state = table.snapshot().map_err(fail)?;
    let done = CommitBuilder::from(properties)
        .with_actions(actions)
        .build(Some(state.snapshot()), table.log_store(), operation)
        .await
        .map_err(fail)?;
    let version = done.version();
    table.state = Some(done.snapshot);
    Ok(version)
}

/// Writes the log entry of exactly `version`, without a snapshot and without looking; gives `false`
/// if that version is taken. An error leaves the outcome unknown.
pub async fn append(
    log: &LogStoreRef,
    version: Version,
    actions: Vec<Action>,
    operation: DeltaOperation,
    transactions: Vec<Transaction>,
) -> Result<bool, DeltaError> {
    let data = CommitData::new(actions, operation, HashMap::new(), transactions);
    let bytes = data.get_bytes().map_err(|e| DeltaError::table(log.root_url(), e.into()))?;
    let location = log.log_path().clone().join(format!("{version:020}.json"));
    match log.object_store(None).put_opts(&location, bytes.into(), PutMode::Create.into()).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
        Err(source) => Err(DeltaError::Object { path: location.to_string(), source }),
    }
}

/// Deletes a file that no commit names; one that cannot be deleted is only noted.
pub async fn discard(log: &LogStoreRef, path: &str) {
    let Ok(location) = ObjectPath::parse(path) else { return };
    if let Err(error) = log.object_store(None).delete(&location).await {
        tracing::debug!(%error, path, "file without a commit could not be deleted");
    }
}

/// The actions of log entry `version`, or `None` if there is none (yet).
pub async fn entry(log: &LogStoreRef, version: Version) -> Result<Option<Vec<Action>>, DeltaError> {
    let fail = |e| DeltaError::table(log.root_url(), e);
    let Some(bytes) = log.read_commit_entry(version).await.map_err(fail)? else { return Ok(None) };
    deltalake::logstore::get_actions(version, &bytes).map(Some).map_err(fail)
}

/// Checks that the store of a place refuses to overwrite a key, by an object below `folder` that is
/// removed again. A place in a bucket is reached by another client than archives are.
pub async fn probe(place: &Place, folder: &str) -> Result<(), DeltaError> {
    let log = place.table()?.log_store();
    let store = log.object_store(None);
    let key = format!("{folder}/{}", Ulid::new());
    let object = |source| DeltaError::Object { path: key.clone(), source };
    let location = ObjectPath::parse(&key).map_err(|e| object(e.into()))?;
    let put = || store.put_opts(&location, Bytes::from_static(b"probe").into(), PutMode::Create.into());
    put().await.map_err(object)?;
    let again = put().await;
    store.delete(&location).await.map_err(object)?;
    match again {
        Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(object(error)),
        Ok(_) => Err(DeltaError::Place {
            place: place.url().to_string(),
            why: "it does not refuse a second put of the same key\nhint: use a store with conditional writes (If-None-Match)".to_owned(),
        }),
    }
}
