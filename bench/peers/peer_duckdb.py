"""`peer_duckdb.py INPUT OUTPUT whole|lines`: DuckDB, one thread, typed schema, no inference."""

import sys

import duckdb

import mapping
from peer import cpu_seconds, folders, report

# A file is one JSON document if it is not split into lines; this is the most that DuckDB buffers of it.
DOCUMENT_BYTES_MAX = 16 << 20
DIALECT = {
    "time": lambda text: f"strptime({text}, '%Y-%m-%dT%H:%M:%SZ')",
    "cast": lambda value: f"CAST({value} AS INTEGER)",
    "text": lambda value: f"'{value}'",
    "matches": lambda text, pattern: f"regexp_matches({text}, '{pattern}')",
    "after_colon": lambda text: f"split_part({text}, ':', 2)",
    "first_arn": "r.resources[1].ARN",
}


def type_of(field):
    match field:
        case "text":
            return "VARCHAR"
        case "bool":
            return "BOOLEAN"
        case [element]:
            return f"{type_of(element)}[]"
        case _:
            return "STRUCT(" + ", ".join(f'"{name}" {type_of(inner)}' for name, inner in field.items()) + ")"


def main():
    files, out = folders()
    database = duckdb.connect()
    database.execute("SET threads = 1")
    database.execute("SET preserve_insertion_order = false")
    started = cpu_seconds()
    if sys.argv[3] == "lines":
        columns = {name: type_of(field) for name, field in mapping.FIELDS.items()}
        events = f"read_json({files!r}, format = 'newline_delimited', columns = {columns!r}) r"
    else:
        columns = {"Records": type_of([mapping.FIELDS])}
        documents = (
            f"read_json({files!r}, format = 'unstructured', columns = {columns!r},"
            f" maximum_object_size = {DOCUMENT_BYTES_MAX})"
        )
        events = f"(SELECT unnest(Records) AS r FROM {documents})"
    target = out / "rows.parquet"
    rows = database.execute(
        f"COPY (SELECT {mapping.select(DIALECT)} FROM {events})"
        f" TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)"
    ).fetchone()[0]
    report("DuckDB", duckdb.__version__, started, rows)


main()
