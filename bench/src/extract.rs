//! From the text of a file to its records, and from a record to the values at the paths.

use anyhow::{Context, Result};
use libdeflater::Decompressor;
use sonic_rs::{LazyValue, PointerNode, PointerTree};

use crate::paths::{self, LAYERS};

/// An inflated file that is larger is damaged.
const FILE_BYTES_MAX: usize = 1 << 30;

/// Inflates a gzip file of one member, whose last four bytes say how long it is.
pub fn gunzip(inflate: &mut Decompressor, gzip: &[u8], raw: &mut Vec<u8>) -> Result<()> {
    let size = gzip.last_chunk().map(|size| u32::from_le_bytes(*size) as usize);
    let size = size.filter(|size| *size <= FILE_BYTES_MAX).context("not a gzip file")?;
    raw.resize(size, 0);
    inflate.gzip_decompress(gzip, raw)?;
    Ok(())
}

/// One call of `get_many`.
struct Call {
    /// Number of the path of the container; none for the record itself.
    container: Option<usize>,
    tree: PointerTree,
}

/// The paths, compiled.
pub struct Extractor(Vec<Call>);

impl Extractor {
    pub fn new() -> Result<Self> {
        let call = |layer: &paths::Layer| {
            let container = match layer.container {
                "" => None,
                path => Some(paths::number(path).with_context(|| format!("no layer asks for `{path}`"))?),
            };
            let mut tree = PointerTree::new();
            for path in layer.paths {
                tree.add_path(pointer(path));
            }
            Ok(Call { container, tree })
        };
        Ok(Self(LAYERS.iter().map(call).collect::<Result<_>>()?))
    }

    /// Puts the values of one record into `out`, by the numbers of their paths.
    pub fn values<'a>(&self, record: &'a str, out: &mut Vec<Option<LazyValue<'a>>>) -> Result<()> {
        out.clear();
        for call in &self.0 {
            let text = match call.container {
                None => Some(record),
                Some(number) => out[number].as_ref().and_then(raw).filter(|text| has_members(text)),
            };
            match text {
                Some(text) => out.extend(sonic_rs::get_many(text, &call.tree)?),
                None => out.extend((0..call.tree.size()).map(|_| None)),
            }
        }
        Ok(())
    }
}

fn pointer(path: &str) -> Vec<PointerNode> {
    let node = |step: &str| match step.parse() {
        Ok(place) => PointerNode::Index(place),
        Err(_) => PointerNode::Key(step.to_owned().into()),
    };
    path.split('.').map(node).collect()
}

/// The text of a value in its record.
pub fn raw<'a>(value: &LazyValue<'a>) -> Option<&'a str> {
    match value.as_raw_cow() {
        std::borrow::Cow::Borrowed(text) => Some(text),
        // Only values of a shared buffer are owned.
        std::borrow::Cow::Owned(_) => None,
    }
}

fn has_members(text: &str) -> bool {
    let inner = text.strip_prefix(['{', '[']).map(str::trim_start);
    inner.is_some_and(|inner| !inner.starts_with(['}', ']']))
}

/// The records of a `{"Records":[…]}` file.
pub fn records(file: &str) -> Result<Vec<&str>> {
    let list = sonic_rs::get(file, ["Records"]).context("no `Records`")?;
    let list = raw(&list).context("`Records` is not in the file")?;
    let record = |value: sonic_rs::Result<LazyValue<'_>>| {
        let value = value.context("not JSON")?;
        // The slice of the list, for its lifetime.
        let start = value.as_raw_str().as_ptr() as usize - list.as_ptr() as usize;
        list.get(start..start + value.as_raw_str().len()).context("a record outside of its list")
    };
    sonic_rs::to_array_iter(list).map(record).collect()
}
