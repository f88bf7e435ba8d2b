"""`split.py INPUT OUTPUT`: the records of every file as lines, their text unchanged; not timed."""

import gzip
import json
import re
from pathlib import Path

from peer import folders

GZIP_LEVEL = 6
SPACE = re.compile(r"[\s,]*")


def records(text):
    """The text of each element of the one array of `{"Records":[…]}`."""
    decoder = json.JSONDecoder()
    at = SPACE.match(text, text.index("[") + 1).end()
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at = SPACE.match(text, end).end()


def main():
    files, out = folders()
    for number, file in enumerate(files):
        text = gzip.decompress(Path(file).read_bytes()).decode()
        lines = "".join(record + "\n" for record in records(text))
        (out / f"{number:05}.json.gz").write_bytes(gzip.compress(lines.encode(), GZIP_LEVEL))


main()
