//! What an event means for the lake: SQL predicates over the linchpin columns, and the retention
//! class that the first matching rule gives.
//!
//! A predicate is compiled once and then evaluated on whole batches. Everything that can be wrong with
//! it is found when it is compiled: afterwards it is total, so a strange event can neither stop the
//! pipeline nor lose its neighbours' class. `now()` is the moment of compiling. NULL counts as false.

mod check;
mod error;
mod predicate;
mod rails;
mod regulation;
mod retention;
mod risk;
#[cfg(test)]
mod tests;
mod text;

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use linchpin_normalize::columns;

pub use error::{PolicyFault, PolicyPlace, PredicateError};
pub use predicate::{PREDICATE_BYTES_MAX, Predicate};
pub use retention::{CLASSES_MAX, RetentionClass, RetentionPolicy, RetentionRule, UNDECIDED};

pub use rails::{Warning, warnings};
pub use regulation::{DEMANDS, Demand, demand};
pub use risk::{
    ACCOUNT_CRITICALITY, ACCOUNT_TAGS, DATA_CLASSIFICATION, FINDING_SEVERITY, IDENTITY_PRIVILEGE, Risk,
    RiskTables, rule_schema,
};
pub use text::{hash, name as class_name, parse, text};

/// Column with the name of the feed that delivered an event.
pub const FEED: &str = "feed";

/// What a question may speak of: the linchpin columns and `feed`. Rules see more: [`rule_schema`].
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = columns::schema().fields().to_vec();
        fields.push(Arc::new(Field::new(FEED, DataType::Utf8, false)));
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

/// Rows of one feed (the linchpin columns) in the shape of [`schema`]; no column is copied.
pub fn with_feed(rows: &RecordBatch, feed: &str) -> Result<RecordBatch, ArrowError> {
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(feed, rows.num_rows()))));
    RecordBatch::try_new(schema(), columns)
}
