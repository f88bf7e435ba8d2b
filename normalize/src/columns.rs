//! The linchpin columns: flattened OCSF paths that stay hot and searchable.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Arrow type of a linchpin column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// 32-bit integer (ids, ports).
    Int,
    /// 64-bit integer (counters).
    Long,
    /// True or false.
    Bool,
    /// UTC timestamp in microseconds.
    Time,
}

/// One linchpin column: its name, the OCSF attribute it flattens and how it is indexed.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Column name: the OCSF path with underscores.
    pub name: &'static str,
    /// OCSF path that fills it; empty where the engine derives it.
    pub path: &'static str,
    /// Arrow type.
    pub ty: ColumnType,
    /// Whether the hot table keeps a bloom filter: a value somebody looks for by equality.
    pub bloom: bool,
}

const fn text(name: &'static str, path: &'static str) -> Column {
    Column { name, path, ty: ColumnType::Text, bloom: false }
}
const fn needle(name: &'static str, path: &'static str) -> Column {
    Column { name, path, ty: ColumnType::Text, bloom: true }
}
const fn int(name: &'static str, path: &'static str) -> Column {
    Column { name, path, ty: ColumnType::Int, bloom: false }
}
const fn long(name: &'static str, path: &'static str) -> Column {
    Column { name, path, ty: ColumnType::Long, bloom: false }
}
const fn boolean(name: &'static str, path: &'static str) -> Column {
    Column { name, path, ty: ColumnType::Bool, bloom: false }
}

/// The columns that normalising fills, in table order. A path may end in `[]` segments: the first
/// element counts.
pub const COLUMNS: &[Column] = &[
    needle("event_id", ""),
    needle("raw_hash", ""),
    Column { name: "time", path: "time", ty: ColumnType::Time, bloom: false },
    int("class_uid", ""),
    int("category_uid", ""),
    long("type_uid", ""),
    int("activity_id", "activity_id"),
    int("severity_id", "severity_id"),
    int("status_id", "status_id"),
    text("status_code", "status_code"),
    int("action_id", "action_id"),
    int("disposition_id", "disposition_id"),
    text("source", ""),
    text("marks", ""),
    text("metadata_uid", "metadata.uid"),
    text("metadata_log_name", "metadata.log_name"),
    text("cloud_provider", "cloud.provider"),
    text("cloud_account_uid", "cloud.account.uid"),
    text("cloud_region", "cloud.region"),
    needle("actor_user_uid", "actor.user.uid"),
    needle("actor_user_name", "actor.user.name"),
    text("actor_user_type", "actor.user.type"),
    needle("actor_user_credential_uid", "actor.user.credential_uid"),
    text("actor_user_account_uid", "actor.user.account.uid"),
    text("actor_session_uid", "actor.session.uid"),
    text("actor_session_issuer", "actor.session.issuer"),
    boolean("actor_session_is_mfa", "actor.session.is_mfa"),
    text("actor_invoked_by", "actor.invoked_by"),
    needle("user_uid", "user.uid"),
    needle("user_name", "user.name"),
    boolean("is_mfa", "is_mfa"),
    needle("src_endpoint_ip", "src_endpoint.ip"),
    int("src_endpoint_port", "src_endpoint.port"),
    text("src_endpoint_hostname", "src_endpoint.hostname"),
    text("src_endpoint_uid", "src_endpoint.uid"),
    text("src_endpoint_country", "src_endpoint.location.country"),
    boolean("src_is_internal", ""),
    needle("dst_endpoint_ip", "dst_endpoint.ip"),
    int("dst_endpoint_port", "dst_endpoint.port"),
    needle("dst_endpoint_hostname", "dst_endpoint.hostname"),
    text("dst_endpoint_uid", "dst_endpoint.uid"),
    boolean("dst_is_internal", ""),
    text("direction", "connection_info.direction"),
    int("protocol_num", "connection_info.protocol_num"),
    long("traffic_bytes", "traffic.bytes"),
    long("traffic_packets", "traffic.packets"),
    text("api_operation", "api.operation"),
    text("api_service_name", "api.service.name"),
    text("api_request_uid", "api.request.uid"),
    text("api_response_error", "api.response.error"),
    needle("resource_uid", "resources[].uid"),
    text("resource_name", "resources[].name"),
    text("http_user_agent", "http_request.user_agent"),
    text("http_method", "http_request.http_method"),
    text("http_url", "http_request.url.url_string"),
    int("http_status", "http_response.code"),
    needle("query_hostname", "query.hostname"),
    needle("file_hash", "file.hashes[].value"),
    needle("process_name", "process.name"),
    text("process_cmd_line", "process.cmd_line"),
    text("device_hostname", "device.hostname"),
    text("finding_uid", "finding_info.uid"),
    text("finding_title", "finding_info.title"),
];

/// Index of a linchpin column by name.
pub fn index(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|c| c.name == name)
}

/// Arrow schema of [`COLUMNS`]: the rows of an `EventBatch`.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let field = |c: &Column| {
            let nullable = !matches!(
                c.name,
                "event_id" | "raw_hash" | "time" | "class_uid" | "category_uid" | "type_uid" | "source"
            );
            Field::new(c.name, arrow_type(c.ty), nullable)
        };
        Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}

/// Arrow type of a column type.
pub fn arrow_type(ty: ColumnType) -> DataType {
    match ty {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Int => DataType::Int32,
        ColumnType::Long => DataType::Int64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}
