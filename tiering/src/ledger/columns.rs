//! The ledger's table: one wide, nullable row a fact. What is looked up or summed has a column of its
//! own; the rest of a fact rides as JSON in `detail`.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondArray,
        new_null_array,
    },
    compute::cast,
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
    error::ArrowError,
};
use serde_json::{Map, Value};

use super::Fact;

/// Partition column: the UTC day of the commit.
pub(super) const COMMIT_DAY: &str = "commit_day";
/// Time of the commit.
pub(super) const AT: &str = "at";
/// Kind of the fact.
pub(super) const KIND: &str = "kind";
/// Key of a consumed unit, 32 hex digits; has a bloom filter.
pub(super) const UNIT_KEY: &str = "unit_key";
/// Key of a unit's delivered object within its store.
pub(super) const DELIVERED_KEY: &str = "delivered_key";
/// The kind of most rows, by far.
pub(super) const UNIT_CONSUMED: &str = "unit_consumed";
/// What has no column of its own.
const DETAIL: &str = "detail";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Long,
    /// A list as JSON text; null where it is empty.
    List,
}

/// Columns after [`AT`], in table order; a fact's field goes where it finds its name.
const COLUMNS: &[(&str, Type)] = &[
    (KIND, Type::Text),
    (UNIT_KEY, Type::Text),
    ("segment", Type::Text),
    ("object", Type::Text),
    ("unit_start", Type::Long),
    ("unit_end", Type::Long),
    ("store", Type::Text),
    ("tier", Type::Text),
    ("retention", Type::Text),
    ("day", Type::Text),
    ("feed", Type::Text),
    ("source", Type::Text),
    ("feeds", Type::List),
    ("sources", Type::List),
    ("worker", Type::Text),
    ("seq", Type::Long),
    ("time_min_ms", Type::Long),
    ("time_max_ms", Type::Long),
    ("received_ms", Type::Long),
    ("events", Type::Long),
    ("rows", Type::Long),
    ("rejects", Type::Long),
    ("gaps", Type::List),
    ("raw_bytes", Type::Long),
    ("stored_bytes", Type::Long),
    (DELIVERED_KEY, Type::Text),
    ("delivered_bytes", Type::Long),
    (DETAIL, Type::Text),
];

/// Columns with statistics in the log.
pub(super) const STATS: &[&str] =
    &[AT, KIND, UNIT_KEY, "segment", "worker", "seq", "time_min_ms", "time_max_ms"];

fn at_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Schema of the files: without the partition column.
pub(super) fn file_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let columns = COLUMNS.iter().map(|(name, ty)| match ty {
            Type::Text | Type::List => Field::new(*name, DataType::Utf8, true),
            Type::Long => Field::new(*name, DataType::Int64, true),
        });
        Arc::new(Schema::new(
            [Field::new(AT, at_type(), true)].into_iter().chain(columns).collect::<Vec<_>>(),
        ))
    });
    Arc::clone(&SCHEMA)
}

/// Schema of the table.
pub(super) fn table_schema() -> SchemaRef {
    let day = Arc::new(Field::new(COMMIT_DAY, DataType::Date32, true));
    Arc::new(Schema::new([day].into_iter().chain(file_schema().fields().iter().cloned()).collect::<Vec<_>>()))
}

/// Rows of facts that are committed at `at_ms`.
pub(super) fn encode(facts: &[Fact], at_ms: i64) -> Result<RecordBatch, ArrowError> {
    let invalid = |e: serde_json::Error| ArrowError::JsonError(e.to_string());
    let mut objects = Vec::with_capacity(facts.len());
    for fact in facts {
        match serde_json::to_value(fact).map_err(invalid)? {
            Value::Object(object) => objects.push(object),
            other => return Err(ArrowError::JsonError(format!("fact `{other}` is not an object"))),
        }
    }
    let at =
        TimestampMicrosecondArray::from(vec![at_ms.saturating_mul(1000); facts.len()]).with_timezone("UTC");
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(at)];
    arrays.extend(COLUMNS.iter().map(|(name, ty)| column(&mut objects, name, *ty)));
    RecordBatch::try_new(file_schema(), arrays)
}

/// Moves field `name` of every fact into a column; `detail` comes last and takes what is left.
fn column(objects: &mut [Map<String, Value>], name: &str, ty: Type) -> ArrayRef {
    if ty == Type::Long {
        let mut longs = Int64Builder::with_capacity(objects.len());
        for value in objects.iter_mut().map(|o| o.remove(name)) {
            // A count beyond i64 cannot be true; it is shown as the largest one.
            longs.append_option(value.and_then(|v| v.as_i64().or(v.is_u64().then_some(i64::MAX))));
        }
        return Arc::new(longs.finish());
    }
    let mut texts = StringBuilder::new();
    for object in objects {
        let text = if name == DETAIL {
            (!object.is_empty()).then(|| Value::Object(std::mem::take(object)).to_string())
        } else {
            match object.remove(name) {
                Some(Value::String(text)) => Some(text),
                None | Some(Value::Null) => None,
                Some(Value::Array(list)) if list.is_empty() => None,
                Some(other) => Some(other.to_string()),
            }
        };
        texts.append_option(text);
    }
    Arc::new(texts.finish())
}

/// A batch in exactly the file schema, whoever wrote it: by name, cast, null where missing.
pub(super) fn conform(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = file_schema();
    if batch.schema().fields() == schema.fields() {
        return RecordBatch::try_new(schema, batch.columns().to_vec());
    }
    let array = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(array) => cast(array, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    };
    let arrays = schema.fields().iter().map(array).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, arrays)
}

/// Typed access to the columns of a conforming batch.
pub(super) struct Rows<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Rows<'a> {
    pub(super) fn new(batch: &'a RecordBatch) -> Self {
        Self { batch }
    }

    /// Commit time of a row, epoch milliseconds.
    pub(super) fn at_ms(&self, row: usize) -> i64 {
        self.batch.column(0).as_primitive::<TimestampMicrosecondType>().value(row) / 1000
    }

    pub(super) fn text(&self, name: &str, row: usize) -> Option<&'a str> {
        let column = self.batch.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    pub(super) fn long(&self, name: &str, row: usize) -> Option<i64> {
        let column = self.batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// The fact of a row; a kind that is not known here is kept as it is.
    pub(super) fn fact(&self, row: usize) -> Result<Fact, serde_json::Error> {
        let mut object = match self.text(DETAIL, row) {
            Some(detail) => serde_json::from_str::<Map<String, Value>>(detail)?,
            None => Map::new(),
        };
        for (name, ty) in COLUMNS.iter().filter(|(name, _)| *name != DETAIL) {
            let value = match ty {
                Type::Text => self.text(name, row).map(Value::from),
                Type::Long => self.long(name, row).map(Value::from),
                Type::List => self.text(name, row).map(serde_json::from_str).transpose()?,
            };
            if let Some(value) = value {
                object.insert((*name).to_owned(), value);
            }
        }
        Fact::from_json(object)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::{
        super::tests::{segment, unit},
        *,
    };

    #[test]
    fn facts_come_back_as_they_were() {
        let unknown = json!({"kind": "frozen", "segment": "s1", "seq": 3, "to": {"store": "cold"}});
        let Value::Object(unknown) = unknown else { unreachable!() };
        let mut bare = unit("u2");
        bare.delivered_sha256 = None;
        bare.gaps = vec!["truncated".to_owned()];
        let facts = vec![
            Fact::SegmentCreated(segment("w", 1, "a")),
            Fact::UnitConsumed(unit("u1")),
            Fact::UnitConsumed(bare),
            Fact::HotExpired { class: "bulk".to_owned(), day: jiff::civil::date(2026, 11, 22) },
            Fact::Tombstoned { segment: "s1".to_owned(), signed: None },
            Fact::WorkerClosed { worker: "w".to_owned() },
            Fact::Unknown(unknown),
        ];
        let batch = encode(&facts, 1_700_000_000_123).unwrap();
        let rows = Rows::new(&batch);
        for (row, fact) in facts.iter().enumerate() {
            assert_eq!(&rows.fact(row).unwrap(), fact);
            assert_eq!(rows.at_ms(row), 1_700_000_000_123);
        }
    }

    #[test]
    fn files_of_others_are_read_by_name() {
        let batch = encode(&[Fact::UnitConsumed(unit("u1"))], 5).unwrap();
        let order: Vec<usize> = (0..batch.num_columns()).rev().filter(|i| *i != 4).collect();
        let other = conform(&batch.project(&order).unwrap()).unwrap();
        assert_eq!(other.schema(), file_schema());
        assert_eq!(Rows::new(&other).text(UNIT_KEY, 0), Rows::new(&batch).text(UNIT_KEY, 0));
        assert_eq!(Rows::new(&other).text("object", 0), None);
    }
}
