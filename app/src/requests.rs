//! What was asked of the stores, for people, programs and logs: requests are a part of the bill.

use linchpin_store::Counts;
use serde_json::{Value, json};

use crate::table::{self, Table};

/// Counts by what they were for.
pub(crate) type Requests = Vec<(String, Counts)>;

/// As a table; what was asked nothing is left out.
pub(crate) fn as_table(requests: &Requests) -> Table {
    let mut table = Table::new(["REQUESTS", "PUT", "GET", "HEAD", "LIST", "DELETE", "READ", "WRITTEN"]);
    for (of, counts) in requests.iter().filter(|(_, counts)| *counts != Counts::default()) {
        table.row([
            of.clone(),
            table::count(counts.puts),
            table::count(counts.gets),
            table::count(counts.heads),
            table::count(counts.lists),
            table::count(counts.deletes),
            table::bytes(counts.bytes_read),
            table::bytes(counts.bytes_written),
        ]);
    }
    table
}

/// As JSON.
pub(crate) fn as_json(requests: &Requests) -> Value {
    let one = |(of, counts): &(String, Counts)| {
        json!({
            "of": of,
            "put": counts.puts, "get": counts.gets, "head": counts.heads,
            "list": counts.lists, "delete": counts.deletes,
            "bytes_read": counts.bytes_read, "bytes_written": counts.bytes_written,
        })
    };
    requests.iter().map(one).collect()
}

/// To the log, a line for each.
pub(crate) fn log(requests: &Requests) {
    for (of, counts) in requests {
        tracing::info!(
            of,
            put = counts.puts,
            get = counts.gets,
            head = counts.heads,
            list = counts.lists,
            delete = counts.deletes,
            bytes_read = counts.bytes_read,
            bytes_written = counts.bytes_written,
            "requests"
        );
    }
}
