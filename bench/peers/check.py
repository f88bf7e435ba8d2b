"""`check.py LINCHPIN PEER`: do a peer's rows say the same as linchpin's? Prints what is different.

`LINCHPIN` is the folder of the hot table, `PEER` that of a peer's output: Parquet, or JSON lines.
Rows are paired by the id that CloudTrail gave them. Exit code 1 if a column of `mapping.CHECKED`
differs in any row, or if rows are missing.
"""

import sys
from pathlib import Path

import polars as pl

import mapping


def rows(folder):
    if (lines := Path(folder) / "rows.ndjson").exists():
        return pl.read_ndjson(lines, infer_schema_length=None)
    files = [file for file in Path(folder).rglob("*.parquet") if "_delta_log" not in file.parts]
    return pl.read_parquet(files, hive_partitioning=False)


def plain(table, name):
    """A column as numbers and text only: engines have types of their own for the same values."""
    column = table[name]
    if column.dtype.is_temporal():
        return column.dt.epoch("us")
    return column.cast(pl.String if column.dtype in (pl.String, pl.Binary, pl.Null) else pl.Int64)


def main():
    ours, theirs = rows(sys.argv[1]).sort("metadata_uid"), rows(sys.argv[2]).sort("metadata_uid")
    if ours.height != theirs.height:
        sys.exit(f"{theirs.height} rows where linchpin has {ours.height}")
    known = [name for name in theirs.columns if name in ours.columns]
    if missing := sorted(set(mapping.CHECKED) - set(known)):
        sys.exit(f"no columns {missing}")
    bad = []
    for name in known:
        same = plain(ours, name).eq_missing(plain(theirs, name))
        if not same.all():
            at = (~same).arg_true()[0]
            told = f"{name}: {(~same).sum()} rows differ, such as {ours[name][at]!r} and {theirs[name][at]!r}"
            print(told, file=sys.stderr)
            bad += [told] if name in mapping.CHECKED else []
    sys.exit("; ".join(bad) or None)


main()
