//! The bare parses.

use std::hint::black_box;

use anyhow::{Context, Result};
use csv::{ByteRecord, ReaderBuilder};
use quick_xml::{Reader, events::Event};
use sonic_rs::{PointerNode, PointerTree};

use crate::extract::Extractor;

/// What the mapping of Zeek reads of a connection.
const ZEEK: &[&str] = &[
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "service",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "conn_state",
    "local_orig",
    "local_resp",
    "history",
    "orig_pkts",
    "orig_ip_bytes",
    "resp_pkts",
    "resp_ip_bytes",
    "community_id",
];

/// A parser of lines.
pub enum Parse {
    /// Paths of nested JSON.
    Nested(Extractor),
    /// Members of flat JSON.
    Flat(PointerTree),
    /// Fields between spaces.
    Delimited,
    /// `name=value` and `name="value"`.
    Pairs,
    /// Elements, attributes and texts.
    Xml,
}

impl Parse {
    pub fn cloudtrail() -> Result<Self> {
        Ok(Self::Nested(Extractor::new()?))
    }

    pub fn zeek() -> Result<Self> {
        let mut tree = PointerTree::new();
        for name in ZEEK {
            tree.add_path([PointerNode::Key((*name).into())]);
        }
        Ok(Self::Flat(tree))
    }

    /// Parses whole lines; gives their number.
    pub fn unit(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Nested(extractor) => {
                let mut values = Vec::new();
                lines(bytes, |line| {
                    extractor.values(line, &mut values)?;
                    black_box(&values);
                    Ok(())
                })
            }
            Self::Flat(tree) => lines(bytes, |line| {
                black_box(sonic_rs::get_many(line, tree)?);
                Ok(())
            }),
            Self::Delimited => delimited(bytes),
            Self::Pairs => {
                let mut found = Vec::new();
                lines(bytes, |line| {
                    found.clear();
                    pairs(line, &mut found);
                    black_box(&found);
                    Ok(())
                })
            }
            Self::Xml => lines(bytes, xml),
        }
    }
}

fn lines<'b>(bytes: &'b [u8], mut each: impl FnMut(&'b str) -> Result<()>) -> Result<usize> {
    let text = std::str::from_utf8(bytes)?;
    text.lines().try_fold(0, |count, line| each(line).map(|()| count + 1))
}

fn delimited(bytes: &[u8]) -> Result<usize> {
    let mut reader =
        ReaderBuilder::new().delimiter(b' ').has_headers(false).flexible(true).from_reader(bytes);
    let (mut record, mut count) = (ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record)? {
        black_box(&record);
        count += 1;
    }
    Ok(count)
}

fn pairs<'l>(line: &'l str, found: &mut Vec<(&'l str, &'l str)>) {
    let mut rest = line;
    while let Some((name, value)) = rest.split_once('=') {
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => value.split_once(' ').unwrap_or((value, "")),
        };
        found.push((name.trim_start(), value));
        rest = after;
    }
}

fn xml(line: &str) -> Result<()> {
    let mut reader = Reader::from_str(line);
    loop {
        match reader.read_event().context("not XML")? {
            Event::Start(element) | Event::Empty(element) => {
                for attribute in element.attributes() {
                    black_box(attribute?);
                }
            }
            Event::Text(text) => {
                black_box(text);
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}
