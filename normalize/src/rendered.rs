//! Files of records that are neither text nor JSON: Parquet tables and Windows event logs (EVTX).
//!
//! Such a file is one raw event, kept whole; its rows are renderings: every record becomes JSON, which
//! is recognised by what it holds, as an event within an envelope is. Read again, the file gives the
//! same rows under the same numbers. A file of more than
//! [`EVENT_BYTES_MAX`](crate::unit::EVENT_BYTES_MAX) bytes is archived, but not read.

use arrow::{error::ArrowError, json::LineDelimitedWriter};
use bytes::Bytes;
use evtx::{EvtxParser, ParserSettings};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, errors::ParquetError};

/// Most records of one file that become rows.
pub(crate) const RECORDS_MAX: usize = 1 << 18;
/// Records of a Parquet file that are in memory together.
const BATCH_RECORDS: usize = 1024;

/// Formats whose records can be rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// <https://parquet.apache.org/docs/file-format/>
    Parquet,
    /// <https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-even6/>
    Evtx,
}

/// What leads to no more records.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderedError {
    #[error("the Parquet file cannot be read: {0}")]
    Parquet(#[from] ParquetError),
    #[error("rows of the Parquet file cannot be read: {0}")]
    Rows(#[from] ArrowError),
    #[error("the event log cannot be read: {0}")]
    Evtx(#[from] evtx::err::EvtxError),
    #[error("the file has more than {RECORDS_MAX} records: those after have no row")]
    TooMany,
}

impl Format {
    /// The format of a file that begins like this.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        const MAGIC: [(&[u8], Format); 2] = [(b"PAR1", Format::Parquet), (b"ElfFile\0", Format::Evtx)];
        MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, format)| *format)
    }

    /// Gives every record of a whole file to `take`: its JSON, or why it cannot be read. What comes
    /// after an error is lost to the table, never to the archive.
    pub(crate) fn records(self, bytes: &[u8], take: &mut dyn FnMut(Result<&str, String>)) {
        let mut count = 0;
        let mut counted = |record: Result<&str, String>| {
            count += 1;
            if count <= RECORDS_MAX {
                take(record);
            }
            if count > RECORDS_MAX { Err(RenderedError::TooMany) } else { Ok(()) }
        };
        let outcome = match self {
            Self::Parquet => parquet(bytes, &mut counted),
            Self::Evtx => event_log(bytes, &mut counted),
        };
        if let Err(error) = outcome {
            take(Err(error.to_string()));
        }
    }
}

type Take<'t> = &'t mut dyn FnMut(Result<&str, String>) -> Result<(), RenderedError>;

fn parquet(bytes: &[u8], take: Take<'_>) -> Result<(), RenderedError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes))?;
    for batch in reader.with_batch_size(BATCH_RECORDS).build()? {
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write(&batch?)?;
        writer.finish()?;
        let text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
        text.lines().try_for_each(|line| take(Ok(line)))?;
    }
    Ok(())
}

fn event_log(bytes: &[u8], take: Take<'_>) -> Result<(), RenderedError> {
    let settings = ParserSettings::default().num_threads(1).indent(false);
    let mut parser = EvtxParser::from_buffer(bytes.to_vec())?.with_configuration(settings);
    for record in parser.records_json() {
        match record {
            Ok(record) => take(Ok(&record.data))?,
            // A damaged record says nothing of the others.
            Err(error) => take(Err(error.to_string()))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringArray},
        datatypes::DataType,
    };
    use parquet::arrow::ArrowWriter;

    use super::*;

    fn table(rows: i64) -> Vec<u8> {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let names: ArrayRef =
            Arc::new((0..rows).map(|n| (n % 2 == 0).then(|| format!("name {n}"))).collect::<StringArray>());
        assert_eq!(names.data_type(), &DataType::Utf8);
        let batch = RecordBatch::try_from_iter([("n", numbers), ("name", names)]).unwrap();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file
    }

    fn records(bytes: &[u8]) -> Vec<Result<String, String>> {
        let mut found = Vec::new();
        Format::of(bytes).unwrap().records(bytes, &mut |record| found.push(record.map(str::to_owned)));
        found
    }

    #[test]
    fn rows_of_a_table_become_json_without_what_is_null() {
        let found = records(&table(3));
        let expected = [r#"{"n":0,"name":"name 0"}"#, r#"{"n":1}"#, r#"{"n":2,"name":"name 2"}"#];
        assert_eq!(found, expected.map(|text| Ok(text.to_owned())));
        assert_eq!(records(&table(3000)).len(), 3000);
    }

    #[test]
    fn what_is_cut_or_damaged_is_said_and_never_panics() {
        let file = table(50);
        for end in (4..file.len()).step_by(7) {
            assert!(records(&file[..end]).last().unwrap().is_err(), "cut at {end}");
        }
        assert!(records(b"ElfFile\0 and no more").last().unwrap().is_err());
        assert_eq!(Format::of(b"PAR"), None);
        assert_eq!(Format::of(b"{}"), None);
    }
}
