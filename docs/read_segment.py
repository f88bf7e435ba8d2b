#!/usr/bin/env python3
"""Reference decoder of Linchpin segments, format version 1 (see format.md).

    read_segment.py SEGMENT             print every raw event, followed by a newline
    read_segment.py SEGMENT --json      one JSON object an event: row, unit, offset, raw_b64
    read_segment.py SEGMENT --info      print footer and units as JSON
    read_segment.py SEGMENT --verify    check frames, counts, hashes and the Merkle root; exit 1 if
                                        anything is wrong

It needs Python 3.9 and one of: Python 3.14's own `compression.zstd`, the `zstandard` module, or the
`zstd` program. The XXH3 checksums are not looked at (Python has no XXH3); the checksum inside every
zstd frame, the Merkle root and the SHA-256 in the object's name are.
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys

END_MAGIC = b"LPSEGEND"
TRAILER = struct.Struct("<II8s")
FORMAT_VERSION = 1
CODEC_RAW = 1


class Damaged(Exception):
    """The bytes are not what format.md says."""


def find_inflate():
    """The first zstd decoder this machine has, as a function from one frame to its content."""
    try:
        from compression import zstd  # Python 3.14

        return zstd.decompress
    except ImportError:
        pass
    try:
        import zstandard

        return lambda frame: zstandard.ZstdDecompressor().decompress(frame)
    except ImportError:
        pass
    program = shutil.which("zstd")
    if program is None:
        sys.exit("no zstd decoder\nhint: install the Python module `zstandard` or the program `zstd`")

    def run(frame):
        done = subprocess.run([program, "-dcq"], input=frame, capture_output=True)
        if done.returncode != 0:
            raise Damaged("zstd: " + done.stderr.decode(errors="replace").strip())
        return done.stdout

    return run


def payload(frame, tag):
    """Payload of a skippable frame, without its tag."""
    if len(frame) < 12:
        raise Damaged("frame is cut short")
    magic, length = struct.unpack_from("<II", frame)
    if magic & 0xFFFFFFF0 != 0x184D2A50 or length != len(frame) - 8 or frame[8:12] != tag:
        raise Damaged(f"no {tag.decode()} frame where the footer says")
    return frame[12:]


def varints(data):
    """All LEB128 integers of a column block."""
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0
    if shift:
        raise Damaged("varint is cut short")


class Segment:
    def __init__(self, data, inflate):
        self.data, self.inflate = data, inflate
        if len(data) < TRAILER.size:
            raise Damaged("not a segment")
        length, version, magic = TRAILER.unpack(data[-TRAILER.size :])
        if magic != END_MAGIC:
            raise Damaged("not a segment")
        if version != FORMAT_VERSION:
            raise Damaged(f"format version {version} is unknown")
        self.footer_start = len(data) - length
        if self.footer_start < 0:
            raise Damaged("footer is longer than the object")
        packed = payload(data[self.footer_start :], b"LPF1")[: -TRAILER.size]
        self.footer = json.loads(inflate(packed))
        if self.footer["header"]["codec"] != CODEC_RAW:
            raise Damaged(f"codec {self.footer['header']['codec']} is unknown")
        self.units = []
        for entry in self.footer["units"]:
            self.units += json.loads(inflate(payload(self.stored(entry), b"LPU1")))

    def stored(self, place):
        return self.data[place["offset"] : place["offset"] + place["length"]]

    def events(self):
        """(row, unit index, offset in the unit, bytes) of every event, in row order."""
        for block in self.footer["blocks"]:
            yield from self.block(block)

    def block(self, block):
        start, end = block["offset"], block["offset"] + block["stored"]
        content = self.inflate(self.data[start:end])
        if len(content) != block["content"]:
            raise Damaged(f"block at byte {start} has another size than the footer says")
        index = payload(self.data[end : end + block["index"]], b"LPI1")
        numbers = varints(self.inflate(index))
        count = next(numbers)
        lengths = [next(numbers) for _ in range(count)]
        runs = [(next(numbers), next(numbers)) for _ in range(next(numbers))]
        position, event = 0, 0
        for unit, events in runs:
            offset = 0
            for _ in range(events):
                length = lengths[event]
                offset += next(numbers)
                raw = content[position : position + length]
                if content[position + length : position + length + 1] != b"\n":
                    raise Damaged(f"row {block['first_row'] + event} does not end with a newline")
                yield block["first_row"] + event, unit, offset, raw
                offset += length
                position += length + 1
                event += 1
        if event != count or position != len(content) or next(numbers, None) is not None:
            raise Damaged(f"index of the block at byte {start} does not match its content")


def merkle_root(leaves):
    """RFC 6962 tree head over leaf hashes, streaming."""
    stack = []  # (number of leaves, hash), larger subtrees first
    for leaf in leaves:
        stack.append((1, leaf))
        while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
            (_, right), (size, left) = stack.pop(), stack.pop()
            stack.append((2 * size, hashlib.sha256(b"\x01" + left + right).digest()))
    if not stack:
        return hashlib.sha256(b"").digest()
    root = stack.pop()[1]
    while stack:
        root = hashlib.sha256(b"\x01" + stack.pop()[1] + root).digest()
    return root


def verify(segment, name):
    """What is wrong with a segment, as sentences."""
    footer, found = segment.footer, []
    counts, raw_bytes, leaves = [0] * len(segment.units), 0, []
    for _, unit, _, raw in segment.events():
        counts[unit] += 1
        raw_bytes += len(raw)
        leaves.append(hashlib.sha256(b"\x00" + hashlib.sha256(raw).digest()).digest())
    if merkle_root(leaves).hex() != footer["merkle_root"]:
        found.append("Merkle root does not match the events")
    if len(leaves) != footer["events"] or raw_bytes != footer["raw_bytes"]:
        found.append("totals do not match the events")
    if len(segment.units) != footer["unit_count"] or counts != [unit["events"] for unit in segment.units]:
        found.append("units do not match the events")
    blocks = footer["blocks"]
    first = min([e["offset"] for e in blocks + footer["units"]] + [segment.footer_start])
    first = min([first] + [u["residue"]["offset"] for u in segment.units if u["residue"]])
    if json.loads(payload(segment.data[:first], b"LPH1")) != footer["header"]:
        found.append("header differs from the footer")
    tail = name.rsplit("-", 1)[-1]
    if len(tail) == 16 and all(digit in "0123456789abcdef" for digit in tail):
        if hashlib.sha256(segment.data).hexdigest()[:16] != tail:
            found.append("SHA-256 of the object does not match its name")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("segment")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true")
    what.add_argument("--info", action="store_true")
    what.add_argument("--verify", action="store_true")
    arguments = parser.parse_args()
    with open(arguments.segment, "rb") as file:
        data = file.read()
    out = sys.stdout.buffer
    try:
        segment = Segment(data, find_inflate())
        if arguments.verify:
            found = verify(segment, os.path.basename(arguments.segment))
            for what in found:
                print(what, file=sys.stderr)
            if not found:
                print(f"intact: {segment.footer['events']} events, Merkle root {segment.footer['merkle_root']}")
            sys.exit(1 if found else 0)
        if arguments.info:
            json.dump({"footer": segment.footer, "units": segment.units}, sys.stdout, indent=2)
            print()
            return
        for row, unit, offset, raw in segment.events():
            if arguments.json:
                event = {"row": row, "unit": unit, "offset": offset, "raw_b64": base64.b64encode(raw).decode()}
                out.write(json.dumps(event).encode())
            else:
                out.write(raw)
            out.write(b"\n")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # whatever damaged bytes lead to
        sys.exit(f"{arguments.segment}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
