//! The columns of the hot table: their values, and the builders that are timed.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use anyhow::{Context, Result};
use arrow::{
    array::{
        ArrayRef, BooleanBuilder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
        TimestampMicrosecondBuilder,
    },
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use linchpin_normalize::{
    columns::{self, COLUMNS},
    unit::{EventId, UnitKey, hex_into},
};
use sha2::{Digest, Sha256};
use sonic_rs::LazyValue;

use crate::{
    extract::raw,
    paths::{self, AUTHENTICATION_TEXTS, TEXTS},
};

const AUTHENTICATION: i64 = 3002;
const ACCOUNT_CHANGE: i64 = 3001;
const API_ACTIVITY: i64 = 6003;

/// What is the same in every row.
const CONSTANTS: [(&str, &str); 5] = [
    ("source", "aws.cloudtrail"),
    ("metadata_log_name", "aws.cloudtrail"),
    ("cloud_provider", "AWS"),
    ("feed", "logs"),
    ("segment", "standard/2026-01-01/01KDVZ0000000000000000000-1-0123456789abcdef"),
];

/// The linchpin columns and the address of the raw event: those of a file of the hot table.
pub fn schema() -> SchemaRef {
    let mut fields: Vec<_> = columns::schema().fields().iter().cloned().collect();
    let address = [
        ("feed", DataType::Utf8),
        ("segment", DataType::Utf8),
        ("row", DataType::Int32),
        ("sub", DataType::Int32),
        ("day_moved", DataType::Boolean),
    ];
    fields.extend(address.map(|(name, ty)| Arc::new(Field::new(name, ty, false))));
    Arc::new(Schema::new(fields))
}

/// A value on its way into a builder.
#[derive(Clone)]
pub enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    Number(i64),
    Bool(bool),
}

/// Where an event is.
pub struct Address {
    /// The object it is in.
    pub unit: UnitKey,
    /// Of its first byte there.
    pub offset: u32,
    /// Its number in the segment.
    pub row: usize,
}

/// Where the columns are that one list of paths fills.
type Places = Vec<(usize, Vec<usize>)>;

/// Fills rows of cells.
pub struct Rows {
    schema: SchemaRef,
    texts: Places,
    authentication: Places,
}

impl Rows {
    pub fn new() -> Result<Self> {
        Ok(Self { schema: schema(), texts: places(TEXTS)?, authentication: places(AUTHENTICATION_TEXTS)? })
    }

    /// The cells of one row, in the order of the columns.
    pub fn cells<'a>(
        &self,
        record: &str,
        values: &[Option<LazyValue<'a>>],
        address: &Address,
    ) -> Result<Vec<Cell<'a>>> {
        let mut cells = vec![Cell::Null; self.schema.fields().len()];
        let value =
            |path: &str| paths::number(path).and_then(|number| values[number].as_ref()).and_then(text);
        let class = class(value("eventSource").as_deref(), value("eventName").as_deref());
        let lists = [&self.texts, &self.authentication];
        let lists = &lists[..if class == AUTHENTICATION { 2 } else { 1 }];
        for (column, numbers) in lists.iter().flat_map(|list| list.iter()) {
            let text = numbers.iter().find_map(|number| values[*number].as_ref().and_then(text));
            cells[*column] = text.map_or(Cell::Null, Cell::Text);
        }
        let time: jiff::Timestamp = value("eventTime").context("no time")?.parse()?;
        let mfa = value("userIdentity.sessionContext.attributes.mfaAuthenticated").map(|mfa| mfa == "true");
        let mfa = || mfa.map_or(Cell::Null, Cell::Bool);
        let principal = value("userIdentity.principalId");
        let session = principal.as_deref().and_then(|id| id.split_once(':')).map(|(_, name)| name.to_owned());
        let source = value("sourceIPAddress");
        let ip = source.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
        let activity = if value("readOnly").as_deref() == Some("true") { 2 } else { 1 };
        let failed = value("errorCode").or_else(|| value("errorMessage")).is_some();
        let derived = [
            ("time", Cell::Number(time.as_microsecond())),
            ("class_uid", Cell::Number(class)),
            ("category_uid", Cell::Number(class / 1000)),
            ("type_uid", Cell::Number(class * 100 + activity)),
            ("activity_id", Cell::Number(activity)),
            ("severity_id", Cell::Number(if failed { 2 } else { 1 })),
            ("status_id", Cell::Number(if failed { 2 } else { 1 })),
            ("actor_session_is_mfa", mfa()),
            ("is_mfa", mfa()),
            ("actor_session_uid", session.map_or(Cell::Null, |name| Cell::Text(name.into()))),
            ("src_endpoint_ip", ip.and(source).map_or(Cell::Null, Cell::Text)),
            ("src_is_internal", ip.map_or(Cell::Null, |ip| Cell::Bool(internal(ip)))),
        ];
        for (name, cell) in
            derived.into_iter().chain(CONSTANTS.map(|(name, text)| (name, Cell::Text(text.into()))))
        {
            cells[self.schema.index_of(name)?] = cell;
        }
        for (name, cell) in identity(record, address) {
            cells[self.schema.index_of(name)?] = cell;
        }
        Ok(cells)
    }

    /// Appends rows to builders, and finishes them: what is timed.
    pub fn build(&self, rows: &[Vec<Cell<'_>>]) -> Result<RecordBatch> {
        let mut builders: Vec<Builder> =
            self.schema.fields().iter().map(|f| Builder::new(f.data_type())).collect();
        for row in rows {
            for (builder, cell) in builders.iter_mut().zip(row) {
                builder.append(cell);
            }
        }
        let arrays = builders.iter_mut().map(Builder::finish).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), arrays)?)
    }
}

/// What an event is known by: the cells of its ids and of its place.
fn identity<'a>(record: &str, address: &Address) -> [(&'static str, Cell<'a>); 5] {
    let mut raw_hash = [0; 32];
    hex_into(&Sha256::digest(record)[..16], &mut raw_hash);
    [
        ("event_id", owned(&EventId::new(address.unit, address.offset, 0).hex())),
        ("raw_hash", owned(&raw_hash)),
        ("row", Cell::Number(address.row as i64)),
        ("sub", Cell::Number(0)),
        ("day_moved", Cell::Bool(true)),
    ]
}

fn internal(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_private())
}

fn owned<'a>(hex: &[u8]) -> Cell<'a> {
    Cell::Text(String::from_utf8_lossy(hex).into_owned().into())
}

fn places(table: &[(&str, &[&str])]) -> Result<Places> {
    let number = |path: &&str| paths::number(path).with_context(|| format!("`{path}` is not read"));
    let place = |(column, list): &(&str, &[&str])| {
        let column = columns::index(column).with_context(|| format!("there is no column `{column}`"))?;
        Ok((column, list.iter().map(number).collect::<Result<_>>()?))
    };
    table.iter().map(place).collect()
}

/// The text of a scalar.
fn text<'a>(value: &LazyValue<'a>) -> Option<Cow<'a, str>> {
    let raw = raw(value)?;
    match raw.as_bytes().first()? {
        b'"' if raw.contains('\\') => sonic_rs::from_str(raw).ok().map(Cow::Owned),
        b'"' => Some(Cow::Borrowed(raw.trim_matches('"'))),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

/// About the class that the mapping gives: it decides the order of a file.
fn class(service: Option<&str>, operation: Option<&str>) -> i64 {
    let (service, operation) = (service.unwrap_or_default(), operation.unwrap_or_default());
    let login = ["Assume", "GetSessionToken", "GetFederationToken", "ConsoleLogin", "Authenticate"];
    let change = ["User", "LoginProfile", "AccessKey", "MFADevice", "ChangePassword"];
    let names = |list: &[&str]| list.iter().any(|name| operation.contains(name));
    match service.split_once('.').map_or(service, |(name, _)| name) {
        "sts" | "signin" | "sso" if names(&login) => AUTHENTICATION,
        "iam" if !operation.starts_with("Get") && !operation.starts_with("List") && names(&change) => {
            ACCOUNT_CHANGE
        }
        _ => API_ACTIVITY,
    }
}

/// A builder of one column.
enum Builder {
    Text(StringBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
}

impl Builder {
    fn new(ty: &DataType) -> Self {
        match ty {
            DataType::Int32 => Self::Int(Int32Builder::new()),
            DataType::Int64 => Self::Long(Int64Builder::new()),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Timestamp(..) => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn append(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Self::Text(b), Cell::Text(text)) => b.append_value(text),
            (Self::Int(b), Cell::Number(n)) => b.append_value(*n as i32),
            (Self::Long(b), Cell::Number(n)) => b.append_value(*n),
            (Self::Time(b), Cell::Number(n)) => b.append_value(*n),
            (Self::Bool(b), Cell::Bool(value)) => b.append_value(*value),
            (Self::Text(b), _) => b.append_null(),
            (Self::Int(b), _) => b.append_null(),
            (Self::Long(b), _) => b.append_null(),
            (Self::Time(b), _) => b.append_null(),
            (Self::Bool(b), _) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Long(b) => Arc::new(b.finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
        }
    }
}

/// Whether a column has a bloom filter.
pub fn needles() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().filter(|column| column.bloom).map(|column| column.name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use arrow::{array::AsArray, datatypes::Int32Type};

    use super::*;
    use crate::extract::{Extractor, records};

    const FILE: &str = r#"{"Records":[{"eventTime":"2026-01-02T03:04:05Z","eventName":"RunInstances",
        "eventSource":"ec2.amazonaws.com","sourceIPAddress":"192.0.2.1","readOnly":false,"errorCode":"a\"b",
        "userIdentity":{"type":"Root","principalId":"ID:name","sessionContext":{"sessionIssuer":{}}},
        "requestParameters":null,"responseElements":{"role":"no object","instancesSet":{"items":[{"instanceId":"i-1"}]}}}]}"#;

    #[test]
    fn a_record_becomes_a_row() {
        let (extractor, rows, mut values) = (Extractor::new().unwrap(), Rows::new().unwrap(), Vec::new());
        let record = records(FILE).unwrap()[0];
        extractor.values(record, &mut values).unwrap();
        let cells =
            rows.cells(record, &values, &Address { unit: UnitKey([0; 16]), offset: 12, row: 7 }).unwrap();
        let batch = rows.build(&[cells]).unwrap();
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().value(0);
        assert_eq!(text("resource_uid"), "i-1");
        assert_eq!(text("api_response_error"), "a\"b");
        assert_eq!(text("actor_session_uid"), "name");
        assert_eq!(text("event_id"), format!("{:028}000000c00000", 0));
        assert_eq!(text("src_endpoint_ip"), "192.0.2.1");
        assert!(batch.column_by_name("user_uid").unwrap().is_null(0));
        assert_eq!(batch.column_by_name("row").unwrap().as_primitive::<Int32Type>().value(0), 7);
        assert_eq!(batch.column_by_name("class_uid").unwrap().as_primitive::<Int32Type>().value(0), 6003);
    }
}
