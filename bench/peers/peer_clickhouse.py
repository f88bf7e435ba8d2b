"""`peer_clickhouse.py INPUT OUTPUT whole|lines`: ClickHouse inside this process, one thread."""

import sys
from pathlib import Path

import chdb

import mapping
from peer import cpu_seconds, folders, report

DIALECT = {
    "time": lambda text: f"toDateTime64(parseDateTimeBestEffort(assumeNotNull({text}), 'UTC'), 6, 'UTC')",
    "cast": lambda value: f"toInt32({value})",
    "text": lambda value: f"'{value}'",
    "matches": lambda text, pattern: f"match({text}, '{pattern}')".replace("\\", "\\\\"),
    "after_colon": lambda text: f"splitByChar(':', assumeNotNull({text}))[2]",
    "first_arn": "r.resources[1].ARN",
}
SETTINGS = {
    "max_threads": 1,
    "max_parsing_threads": 1,
    "input_format_parallel_parsing": 0,
    "output_format_parallel_formatting": 0,
    "output_format_parquet_parallel_encoding": 0,
    "output_format_parquet_compression_method": "'zstd'",
    "output_format_compression_level": 3,
    # Work that nobody asks of a peer.
    "output_format_parquet_write_bloom_filter": 0,
}


def type_of(field):
    match field:
        case "text":
            return "Nullable(String)"
        case "bool":
            return "Nullable(Bool)"
        case [element]:
            return f"Array({type_of(element)})"
        case _:
            return "Tuple(" + ", ".join(f"`{name}` {type_of(inner)}" for name, inner in field.items()) + ")"


def main():
    _, out = folders()
    files = f"{Path(sys.argv[1])}/**/*.json.gz"
    session = chdb.connect(":memory:")
    session.query("SELECT 1")
    started = cpu_seconds()
    if sys.argv[3] == "lines":
        columns = ", ".join(f"`{name}` {type_of(field)}" for name, field in mapping.FIELDS.items())
        events = f"file('{files}', JSONEachRow, '{columns}') AS r"
    else:
        # A row is a whole document until its records are taken out of it: a few of them fill a block.
        SETTINGS["max_block_size"] = 2
        documents = f"file('{files}', JSONEachRow, 'Records {type_of([mapping.FIELDS])}')"
        events = f"(SELECT arrayJoin(Records) AS r FROM {documents})"
    target = out / "rows.parquet"
    settings = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
    session.query(
        f"SELECT {mapping.select(DIALECT)} FROM {events}"
        f" INTO OUTFILE '{target}' TRUNCATE FORMAT Parquet SETTINGS {settings}"
    )
    rows = int(session.query(f"SELECT count() FROM file('{target}', Parquet)").bytes())
    version = session.query("SELECT version()").bytes().decode().strip().strip('"')
    report("ClickHouse", version, started, rows)


main()
