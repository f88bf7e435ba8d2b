"""What every peer's script shares: arguments, the clock, and what it prints for the bench."""

import json
import resource
import sys
from pathlib import Path


def folders():
    """The arguments `INPUT OUTPUT`: the gzip files of the input, in order, and the output folder."""
    source, out = map(Path, sys.argv[1:3])
    return sorted(map(str, source.rglob("*.json.gz"))), out


def cpu_seconds():
    """CPU seconds of this process until now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def report(engine, version, started, rows):
    """Prints the result; `started` is the CPU time at which the engine was loaded and ready."""
    print(json.dumps({"engine": engine, "version": version, "start_seconds": started, "rows": rows}))
