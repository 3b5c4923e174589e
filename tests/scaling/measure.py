"""`make scaling-measure`: what one request, one target and one publication ask of AWS.

Deploys the functions as they are deployed on AWS to the emulator, one request after the other, and
counts: every call that the functions make, what DynamoDB charges for it, the state machine's
transitions, invocations, times, log lines, bytes. Writes measured.json; model.py reads it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median

from emulator import FUNCTIONS, ROOT, Emulator
from recorder import Call, busy, depth, units

RESULT = Path(__file__).with_name("measured.json")
# Requests of each kind.
ROUNDS = 5
# Nothing is under way if no function has called anything for so long, in seconds.
QUIET = 1.5

ONE = {"Runtimes": ["python3.13"], "Architectures": ["x86_64"]}
SIX = {
    "Runtimes": ["python3.12", "python3.13", "python3.14"],
    "Architectures": ["x86_64", "arm64"],
}
SMALL = (ROOT / "examples/web/requirements.txt").read_text()
LARGE = json.loads((ROOT / "examples/data-tools.json").read_text())["Requirements"]
TRUSTED = {"Permissions": [{"Principal": "123456789012"}]}


def request(name: str, requirements: str | dict, **rest) -> dict:
    """A request of this content."""
    if isinstance(requirements, str):
        requirements = {"Type": "requirements.txt", "Requirements": requirements}
    return {"Name": name, "Language": "python", "Requirements": requirements, **rest}


def scenarios() -> dict[str, list[tuple[dict, int]]]:
    """The requests of each kind, in their order, with how many notifications each brings."""
    kinds: dict[str, list[tuple[dict, int]]] = {}
    for name, targets, count in (("one", ONE, 1), ("six", SIX, 6)):
        projects = [f"{name}-{index}" for index in range(ROUNDS)]
        first = [(request(it, SMALL, **targets), count) for it in projects]
        other = [(request(it, SMALL + "six\n", **targets), count) for it in projects]
        if name == "one":
            # The cache is empty now: every wheel has to be downloaded.
            kinds["small, cold"] = [(request("cold", SMALL, **targets), count)]
        kinds[f"{name}: new layer"] = first
        kinds[f"{name}: changed"] = other
        kinds[f"{name}: unchanged"] = other
    shared = [f"shared-{index}" for index in range(ROUNDS)]
    kinds["one: new layer, shared"] = [
        (request(it, SMALL, **ONE, **TRUSTED), 1) for it in shared
    ]
    kinds["one: unchanged, shared"] = kinds["one: new layer, shared"]
    kinds["large, cold"] = [(request("cold-large", LARGE, **ONE), 1)]
    kinds["large: new layer"] = [
        (request(f"large-{index}", LARGE, **ONE), 1) for index in range(ROUNDS)
    ]
    kinds["one: build fails"] = [
        (request(f"fails-{index}", "idna==0.0.1\n", **ONE), 1) for index in range(ROUNDS)
    ]
    kinds["rejected"] = [(request(f"bad-{index}", "-e .\n", **ONE), 1) for index in range(ROUNDS)]
    return kinds


class Measurement:
    """Sends requests and counts what comes of them."""

    def __init__(self, emulator: Emulator):
        self.emulator = emulator
        self.queue = emulator.listen()
        self.s3 = emulator.client("s3")
        self.dropped = 0

    def kind(self, requests: list[tuple[dict, int]]) -> dict:
        """Sends some requests, each once all is quiet, and returns what one of them takes."""
        rounds = [self.one(request, count) for request, count in requests]
        return summary(rounds)

    def one(self, request: dict, count: int) -> dict:
        """Sends a request and waits until all is told and done."""
        self.dropped += 1
        key = f"{self.dropped:04}.json"

        def drop():
            self.s3.put_object(
                Bucket=self.emulator.outputs["InboxBucketName"],
                Key=key,
                Body=json.dumps(request).encode(),
            )
            told = self.emulator.notifications(self.queue, count)
            return sorted({it["Event"] for it in told})

        return self.watch(drop)

    def repair(self) -> dict:
        """Invokes the repair when there is nothing to repair."""
        functions = self.emulator.client("lambda")

        def invoke():
            answer = functions.invoke(
                FunctionName=self.emulator.outputs["PublisherFunctionName"],
                Payload=b'{"Task": "Reconcile"}',
            )
            return [json.loads(answer["Payload"].read())]

        return summary([self.watch(invoke) for _ in range(ROUNDS)])

    def watch(self, work) -> dict:
        """What happens while something works, and after it, until all is quiet."""
        recorder = self.emulator.recorder
        recorder.take()
        since = time.time()
        outcome = work()
        while time.monotonic() - recorder.last_ended() < QUIET:
            time.sleep(0.1)
        calls = recorder.take()
        millis = int(since * 1000)
        return {
            "outcome": outcome,
            "calls": calls,
            "lines": {name: self.emulator.lines(name, millis) for name in FUNCTIONS},
            "executions": self.emulator.executions(since - 1e-3),
        }

    def sizes(self) -> dict[str, dict[str, int]]:
        """Bytes of the layers that were built, by project."""
        bucket = self.emulator.outputs["ArtifactsBucketName"]
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix="accretion/manifests/"
        )
        sizes = {}
        for page in pages:
            for item in page.get("Contents", []):
                text = self.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                manifest = json.loads(text)
                if manifest["Runtimes"] == ["python3.13"] and manifest["Architectures"] == [
                    "x86_64"
                ]:
                    sizes[manifest["ProjectName"]] = {
                        "zip": manifest["ArtifactSize"],
                        "unzipped": manifest["UnzippedSize"],
                        "manifest": len(text),
                    }
        return {"small": sizes["one-0"], "large": sizes["large-0"]}

    def writes_of_states(self) -> dict[str, dict[str, float]]:
        """What the state machine's own updates consume: it does not ask, so they are made again
        by hand, on an item of their own."""
        table = self.emulator.outputs["RequestsTableName"]
        dynamodb = self.emulator.client("dynamodb")
        definition = json.loads((ROOT / "statemachine/build_layer.asl.json").read_text())
        key = {"RequestId": {"S": "0" * 32}, "Item": {"S": "py313"}}
        # As the dispatcher makes it, but for what has no part in it.
        item = key | {
            "Status": {"S": "Received"},
            "StatusRank": {"N": "0"},
            "Open": {"S": "0"},
            "UpdatedAt": {"S": "2026-11-20T10:00:00.000Z"},
            "ProjectName": {"S": "data-tools"},
            "ReceivedAt": {"S": "2026-11-20T10:00:00.000Z"},
        }
        dynamodb.put_item(TableName=table, Item=item)
        writes = {}
        for index, state in enumerate(("RecordBuilding", "RecordBuilt")):
            arguments = definition["States"][state]["Arguments"]
            values = {}
            for name, value in arguments["ExpressionAttributeValues"].items():
                (kind, text), = value.items()
                if text.startswith("{%"):
                    text = f"2026-11-20T10:00:0{index + 1}.000Z" if "$now" in text else "a" * 72
                values[name] = {kind: text}
            answer = dynamodb.update_item(
                TableName=table,
                Key=key,
                UpdateExpression=arguments["UpdateExpression"],
                ConditionExpression=arguments["ConditionExpression"],
                ExpressionAttributeNames=arguments["ExpressionAttributeNames"],
                ExpressionAttributeValues=values,
                ReturnConsumedCapacity="INDEXES",
            )
            consumed = units(json.dumps(answer).encode())
            writes[state] = {_table(where): amount for where, amount in consumed.items()}
        dynamodb.delete_item(TableName=table, Key=key)
        return writes


def summary(rounds: list[dict]) -> dict:
    """The middle of some rounds."""
    outcomes = {json.dumps(it["outcome"]) for it in rounds}
    if len(outcomes) != 1:
        raise SystemExit(f"error: the same request comes to different ends: {outcomes}")
    count = len(rounds)
    calls: Counter = Counter()
    consumed: Counter = Counter()
    up: Counter = Counter()
    down: Counter = Counter()
    repeated = 0
    for it in rounds:
        for call in it["calls"]:
            name = f"{call.function} {call.name}"
            calls[name] += 1
            up[name] += call.bytes_up
            down[name] += call.bytes_down
            repeated += call.attempt > 1
            kind = "read" if call.operation in ("GetItem", "Query") else "write"
            for where, amount in call.units.items():
                consumed[f"{call.function} {kind} {_table(where)}"] += amount
    result = {
        "rounds": count,
        "outcome": rounds[0]["outcome"],
        "calls": per(calls, count),
        "bytes_up": per(up, count),
        "bytes_down": per(down, count),
        "dynamodb_units": per(consumed, count),
        "repeated_by_sdk": repeated / count,
        "executions": sum(len(it["executions"]) for it in rounds) / count,
        "transitions": sum(
            kind.endswith("StateEntered") for it in rounds for run in it["executions"] for kind in run
        )
        / count,
        "functions": {name: _function(name, rounds) for name in FUNCTIONS},
    }
    return result


def _table(where: str) -> str:
    """`Requests/open`, of the name that CloudFormation made up."""
    table, _, index = where.partition("/")
    name = "requests" if "RequestsTable" in table else "layers"
    return f"{name}/{index}" if index else name


def per(counted: Counter, count: int) -> dict[str, float]:
    """Sums as means."""
    return {name: round(total / count, 3) for name, total in sorted(counted.items()) if total}


def _function(name: str, rounds: list[dict]) -> dict:
    """Invocations, times and log lines of one function."""
    durations, bodies, events, own, depths = [], [], [], [], []
    invocations = 0
    for it in rounds:
        lines = it["lines"][name]
        reports = [re.search(r"\tDuration: ([0-9]+) ms", line) for line in lines]
        took = [int(found[1]) for found in reports if found]
        invocations += len(took)
        said = [line for line in lines if not re.match(r"(START|END|REPORT) RequestId", line)]
        bodies.append(sum(len(line.encode()) for line in said))
        events.append(len(said))
        calls: list[Call] = [call for call in it["calls"] if call.function == name]
        if len(took) == 1:
            durations.append(took[0])
            span = max(call.ended for call in calls) - min(call.started for call in calls)
            own.append((span - busy(calls)) * 1000)
            depths.append(depth(calls))
    return {
        "invocations": invocations / len(rounds),
        "log_events": sum(events) / len(rounds),
        "log_bytes": round(sum(bodies) / len(rounds)),
        # Of rounds with one invocation: with more, nobody knows whose call is whose.
        "duration_ms": round(median(durations), 1) if durations else None,
        # Between the first call and the last, but waiting for none. What comes before and after
        # is next to nothing, and the emulator's own work in it is not.
        "own_ms": round(median(own), 1) if own else None,
        # Calls that wait for one another.
        "depth": median(depths) if depths else None,
    }


def main() -> int:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--template", type=Path, default=ROOT / "sam/.aws-sam/release/template.yaml")
    parser.add_argument("--profile", default="function", help="how the functions were compiled")
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if not arguments.template.exists():
        raise SystemExit(f"error: no {arguments.template}; hint: make scaling-measure")
    log = ROOT / "target/tmp/scaling/ministack.log"
    with Emulator(arguments.template.resolve(), log) as emulator:
        measurement = Measurement(emulator)
        kinds = {}
        for name, requests in scenarios().items():
            kinds[name] = measurement.kind(requests)
            print(f"{name}: {kinds[name]['outcome']}", file=sys.stderr)
        kinds["repair, idle"] = measurement.repair()
        result = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": {
                "cores": os.cpu_count(),
                "kernel": platform.release(),
                "profile": arguments.profile,
            },
            "memory_mib": emulator.memory,
            "sizes": measurement.sizes(),
            "state_writes": measurement.writes_of_states(),
            "kinds": kinds,
        }
    arguments.output.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
