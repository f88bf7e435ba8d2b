//! Rows for people and programs.

use std::io::{self, Write};

use arrow::{
    array::RecordBatch,
    csv,
    datatypes::SchemaRef,
    error::ArrowError,
    json::{WriterBuilder, writer::JsonArray},
    util::pretty::pretty_format_batches_with_schema,
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

/// Most rows that are shown as a table: its width is known only when all of them are.
pub const TABLE_ROWS_MAX: usize = 10_000;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table for a terminal.
    Table,
    /// One array of objects; nulls are left out, times are RFC 3339.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// One Parquet file.
    Parquet,
}

/// Writes batches of one schema to `W`.
pub struct RowsWriter<W: Write + Send>(Inner<W>);

enum Inner<W: Write + Send> {
    Table { to: W, schema: SchemaRef, batches: Vec<RecordBatch>, rows: usize },
    Json(arrow::json::Writer<W, JsonArray>),
    Csv(Box<csv::Writer<W>>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> RowsWriter<W> {
    /// Starts writing rows of this schema.
    pub fn new(format: Format, schema: &SchemaRef, to: W) -> io::Result<Self> {
        Ok(Self(match format {
            Format::Table => {
                Inner::Table { to, schema: SchemaRef::clone(schema), batches: Vec::new(), rows: 0 }
            }
            Format::Json => Inner::Json(WriterBuilder::new().with_explicit_nulls(false).build(to)),
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(to);
                // the header also stands over no rows
                writer.write(&RecordBatch::new_empty(SchemaRef::clone(schema))).map_err(arrow_error)?;
                Inner::Csv(Box::new(writer))
            }
            Format::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::try_new(3).map_err(parquet_error)?);
                let properties = WriterProperties::builder().set_compression(zstd).build();
                let writer = ArrowWriter::try_new(to, SchemaRef::clone(schema), Some(properties));
                Inner::Parquet(Box::new(writer.map_err(parquet_error)?))
            }
        }))
    }

    /// Writes a batch.
    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        match &mut self.0 {
            Inner::Table { batches, rows, .. } => {
                let room = TABLE_ROWS_MAX.saturating_sub(*rows);
                *rows += batch.num_rows();
                batches.push(batch.slice(0, batch.num_rows().min(room)));
                Ok(())
            }
            Inner::Json(writer) => writer.write(batch).map_err(arrow_error),
            Inner::Csv(writer) => writer.write(batch).map_err(arrow_error),
            Inner::Parquet(writer) => writer.write(batch).map_err(parquet_error),
        }
    }

    /// Writes what is still missing: the closing bracket, the footer, the table itself.
    pub fn finish(self) -> io::Result<()> {
        match self.0 {
            Inner::Table { mut to, schema, batches, rows } => {
                let table = pretty_format_batches_with_schema(schema, &batches).map_err(arrow_error)?;
                writeln!(to, "{table}")?;
                if rows > TABLE_ROWS_MAX {
                    writeln!(to, "({TABLE_ROWS_MAX} of {rows} rows; the other formats write all)")?;
                }
                to.flush()
            }
            Inner::Json(mut writer) => {
                writer.finish().map_err(arrow_error)?;
                let mut to = writer.into_inner();
                to.write_all(b"\n")?;
                to.flush()
            }
            Inner::Csv(writer) => writer.into_inner().flush(),
            Inner::Parquet(writer) => writer.close().map(|_| ()).map_err(parquet_error),
        }
    }
}

impl<W: Write + Send> std::fmt::Debug for RowsWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Inner::Table { .. } => "RowsWriter(table)",
            Inner::Json(_) => "RowsWriter(json)",
            Inner::Csv(_) => "RowsWriter(csv)",
            Inner::Parquet(_) => "RowsWriter(parquet)",
        })
    }
}

fn arrow_error(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}

fn parquet_error(error: ParquetError) -> io::Error {
    io::Error::other(error)
}
