#!/usr/bin/env python3
"""How far the catalogue agrees with what another product makes of the same logs.

    agreement.py [--sources DIR] [--list] [--json] [--only SOURCE] LINCHPIN CORPUS

LINCHPIN is the program (its verb `normalize` is run), CORPUS a folder with `INDEX.tsv`, raw samples
and `expected-ecs/<sample>-expected.json`: documents in the Elastic Common Schema, one an event. For
every field both name, a value counts as agreed if it stands at one of the places where OCSF keeps
it. Prints per field: compared, agreed, explained (docs/differences.md says why ours is right), the
share that agrees, and the share that agrees or is explained; `--list` adds the other differences by
source. Samples whose events cannot be told apart are named on standard error.

It asks for the same values, not for the same opinion: docs/differences.md says where the two mean
different things. Needs nothing beside Python 3.10.
"""

import argparse
import collections
import concurrent.futures
import gzip
import ipaddress
import json
import os
import pathlib
import subprocess
import sys

# Where OCSF keeps what a field of ECS says. A finding keeps the ends and users in its evidence.
ENDS = ("", "evidences.", "finding_info.related_events.")
PLACES = {
    "source.ip": ["src_endpoint.ip", "actor.process.src_endpoint.ip", "device.ip"],
    "source.port": ["src_endpoint.port"],
    "destination.ip": ["dst_endpoint.ip", "device.ip"],
    "destination.port": ["dst_endpoint.port"],
    "user.name": [
        "actor.user.name", "user.name", "process.user.name", "actor.user.email_addr", "user.email_addr",
        "actor.user.uid", "user.uid", "user_result.name", "actor.process.user.name", "resources.owner.name",
        "actor.user.full_name", "actor.session.uid", "actor.session.issuer", "job.user.name", "entity.name",
    ],
    "user.id": [
        "actor.user.uid", "user.uid", "actor.user.uid_alt", "user.uid_alt", "process.user.uid",
        "actor.user.credential_uid", "actor.process.user.uid", "actor.session.uid", "process.auid",
        "actor.process.auid", "device.owner.uid", "entity.uid",
        # Some call the name that somebody signs in with an id.
        "actor.user.name", "user.name", "actor.user.email_addr", "user.email_addr",
    ],
    "cloud.account.id": ["cloud.account.uid", "cloud.project_uid"],
    "cloud.region": ["cloud.region"],
    "url.domain": [
        "http_request.url.hostname", "url.hostname", "dst_endpoint.hostname", "url.domain", "http_request.url.domain",
    ],
    "dns.question.name": ["query.hostname"],
    "user_agent.original": ["http_request.user_agent"],
}
# Kinds of difference where ours is right, each told in docs/differences.md: fields, source, values (or
# none for any). `turned` stands for a value that is found at the other end.
ENDPOINTS = ("source.ip", "source.port", "destination.ip", "destination.port")
USERS = ("user.name", "user.id")
EXPLAINED = [
    (("user_agent.original",), "", {"-"}),
    (("user.id",), "onprem/windows", {"s-1-5-18", "s-1-5-19", "s-1-5-20"}),
    (("user.id",), "onprem/linux-audit", {"4294967295"}),
    (USERS, "onprem/cisco-ftd", {"no authentication required", "not found"}),
    (("cloud.account.id", "cloud.region"), "aws/firehose", None),
    (("cloud.account.id",), "azure/frontdoor", {"00000000-0000-0000-0000-000000000000"}),
    (("cloud.region",), "gcp/vpcflow", None),
    (("destination.ip", "destination.port"), "gcp/lb", None),
    (("destination.ip",), "aws/vpcflow", None),
    (ENDPOINTS, "onprem/falco", None),
    (ENDPOINTS, "onprem/panw", {"0.0.0.0", "::", "0"}),
    (("source.port", "destination.port"), "onprem/zeek", {"67", "68"}),
    (("dns.question.name",), "onprem/checkpoint", None),
    (ENDPOINTS, "onprem/cisco", "turned"),
    (ENDPOINTS, "onprem/fortigate", "turned"),
    (ENDPOINTS, "onprem/infoblox", "turned"),
]
OTHER_END = {"source.ip": "dst_endpoint.ip", "source.port": "dst_endpoint.port",
             "destination.ip": "src_endpoint.ip", "destination.port": "src_endpoint.port"}
# Samples whose expectations belong to other events, as their collection says.
NOT_PAIRED = ("test-multiline", "test-darwin-syslog", "custom-nat-gateway", "custom-transit-gateway",
              "zeek.ssl", "aws/emr")


def main():
    args = arguments()
    totals = {field: [0, 0, 0] for field in PLACES}
    kinds = collections.defaultdict(lambda: [0, []])
    work = list(pairs(args.corpus, args.only))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(lambda pair: normalized(args, pair[1]), work))
    for (source, sample, expected), documents in zip(work, made):
        events = by_event(documents, len(expected))
        if events is None:
            print(f"not compared: {sample.relative_to(args.corpus)}: {len(documents)} documents, "
                  f"{len(expected)} expected", file=sys.stderr)
            continue
        for event, document in zip(events, expected):
            if document is not None:
                compare(source, event, document, totals, kinds)
    report(args, totals, kinds)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("linchpin", type=pathlib.Path)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--sources", help="mappings of this folder beside those of the program")
    parser.add_argument("--list", action="store_true", help="kinds of difference")
    parser.add_argument("--json", action="store_true", help="one object instead of a table")
    parser.add_argument("--only", help="samples of one source of the index, such as `aws/waf`")
    return parser.parse_args()


def pairs(corpus, only):
    """Samples that have expectations: source, file, documents."""
    for line in (corpus / "INDEX.tsv").read_text().splitlines()[1:]:
        name, source = line.split("\t")[:2]
        if only and source != only or any(part in name for part in NOT_PAIRED):
            continue
        base = corpus / "expected-ecs" / f"{name.removesuffix('.gz')}-expected.json"
        for path in (base, base.with_name(base.name + ".gz")):
            if path.exists():
                text = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
                with text:
                    yield source, corpus / name, json.load(text)["expected"]
                break


def normalized(args, sample):
    # The bare normaliser, an example of the crate, is a program without verbs.
    verb = [] if args.linchpin.name == "normalize" else ["normalize"]
    sources = ["--sources", args.sources] if args.sources else []
    run = subprocess.run([args.linchpin, *verb, *sources, sample], capture_output=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def by_event(documents, wanted):
    """Documents of each event: one each, or those in a row that have the same raw event."""
    if len(documents) == wanted:
        return [[document] for document in documents]
    groups, last = [], None
    for document in documents:
        raw = document.get("raw_data_hash", {}).get("value")
        if raw is None or raw != last:
            groups.append([])
        groups[-1].append(document)
        last = raw
    return groups if len(groups) == wanted else None


def compare(source, event, document, totals, kinds):
    for field, places in PLACES.items():
        value = ecs(document, field)
        if isinstance(value, list):
            value = value[0] if value else None
        if value in (None, ""):
            continue
        ours = [v for d in event for end in ENDS for place in places for v in values(d, (end + place).split("."))]
        totals[field][0] += 1
        names = {plain(value)}
        if field in USERS:
            # A name agrees without the domain that the other schema keeps beside it.
            ours_plain, names = {bare(plain(v)) for v in ours}, {bare(n) for n in names}
        else:
            ours_plain = {plain(v) for v in ours}
        if names & ours_plain:
            totals[field][1] += 1
            continue
        if explained(field, source, plain(value), event):
            totals[field][2] += 1
            continue
        kind = kinds[field, source, "other value" if ours else "no value"]
        kind[0] += 1
        if len(kind[1]) < 4:
            kind[1].append((event[0]["class_name"], value, ours[:3]))


def explained(field, source, value, event):
    """Whether docs/differences.md says why the values differ."""
    def turned():
        return any(plain(v) == value for d in event for v in values(d, OTHER_END[field].split(".")))
    for fields, of, wanted in EXPLAINED:
        if field in fields and source.startswith(of):
            if wanted is None or (turned() if wanted == "turned" else value in wanted):
                return True
    return False


def ecs(document, field):
    """A field of a document with nested or with dotted keys."""
    if field in document:
        return document[field]
    for key in field.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document


def values(node, path):
    """Every value at a path, through lists."""
    if isinstance(node, list):
        return [value for element in node for value in values(element, path)]
    if not path:
        return [node] if node not in (None, "") and not isinstance(node, dict) else []
    return values(node[path[0]], path[1:]) if isinstance(node, dict) and path[0] in node else []


def plain(value):
    """What two notations of one value have in common: case, the final dot of a name, zeros of an address."""
    text = str(value).strip().rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return text


def bare(name):
    """A user's name without the domain that the other schema keeps beside it."""
    return name.split("\\")[-1].split("@")[0]


def report(args, totals, kinds):
    share = lambda part, whole: part / whole if whole else 1.0
    rows = {
        field: {"compared": n[0], "agreed": n[1], "explained": n[2],
                "share": round(share(n[1], n[0]), 4), "settled": round(share(n[1] + n[2], n[0]), 4)}
        for field, n in totals.items()
    }
    if args.json:
        print(json.dumps(rows))
    else:
        print(f"{'field':<22} {'compared':>9} {'agreed':>9} {'explained':>9} {'share':>8} {'settled':>8}")
        for field, row in rows.items():
            print(f"{field:<22} {row['compared']:>9} {row['agreed']:>9} {row['explained']:>9} "
                  f"{row['share']:>8.2%} {row['settled']:>8.2%}")
    if args.list:
        for (field, source, kind), (count, examples) in sorted(kinds.items(), key=lambda k: (k[0][0], -k[1][0])):
            print(f"\n{field} of {source}: {kind}, {count}")
            for name, value, ours in examples:
                print(f"    {name}: expected {value!r}, ours {ours!r}")


if __name__ == "__main__":
    main()
