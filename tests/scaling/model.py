"""`make scaling`: throughput, cost and the first quota that binds, out of what was measured.

Reads measured.json (make scaling-measure), quotas.json, the state machine and the template, and
writes the tables of docs/scaling.md. `--check` writes nothing, and fails if they are not the same.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs/scaling.md"
BEGIN = "<!-- scaling:begin (written by `make scaling`; edit around it) -->"
END = "<!-- scaling:end -->"

FUNCTIONS = ("dispatcher", "builder", "publisher")
# Targets of a request that names none.
TARGETS = 6
# Messages that one dispatcher takes at once.
BATCH = 10
# Requests a minute that the page is about.
RATES = (1, 100, 10_000)
# BuilderEphemeralStorage, by default.
EPHEMERAL_MIB = 3072
# Seconds that the repair keeps for the last one: RESERVE of shared/service/src/publish.rs.
RESERVE = 20
GB = 1e9
MONTH_MINUTES = 30 * 24 * 60


@dataclass(frozen=True)
class Workload:
    """What is asked for."""

    name: str
    # Part of the requests whose layers have changed.
    changed: float
    targets: int = TARGETS
    # Whether the layers are shared with one other account.
    shared: bool = False
    size: str = "small"


WORKLOADS = (
    Workload("nothing changes", 0.0),
    Workload("1 in 10 changes", 0.1),
    Workload("everything changes", 1.0),
)


class Model:
    """What requests take of each quota, and cost."""

    def __init__(self, measured: dict, figures: dict):
        self.measured = measured
        self.figures = figures
        self.quotas = figures["quotas"]
        self.prices = {name: it["value"] for name, it in figures["prices"].items()}
        self.assumed = {name: it["value"] for name, it in figures["assumptions"].items()}

    # --- what a request takes -----------------------------------------------------------------

    def counted(self, kind: str, targets: int) -> dict[str, float]:
        """What was counted of a request, for any number of targets: what it takes grows with them
        from a base. Requests with one and with six targets were measured."""
        one, six = (flat(self.measured["kinds"][f"{name}: {kind}"]) for name in ("one", "six"))
        counts = {}
        for name in sorted(one.keys() | six.keys()):
            slope = (six.get(name, 0) - one.get(name, 0)) / 5
            counts[name] = one.get(name, 0) + slope * (targets - 1)
        for writes in self.measured["state_writes"].values():
            for table, units in writes.items():
                name = f"units states write {table}"
                counts[name] = counts.get(name, 0) + units * targets
        return counts

    def request(self, workload: Workload) -> dict[str, float]:
        """The same for the mixture of a workload."""
        counts: dict[str, float] = {}
        for kind, share in (("changed", workload.changed), ("unchanged", 1 - workload.changed)):
            for name, count in self.counted(kind, workload.targets).items():
                counts[name] = counts.get(name, 0) + share * count
        if workload.shared:
            name = "calls publisher lambda:AddLayerVersionPermission"
            counts[name] = counts.get(name, 0) + workload.targets
        return counts

    def seconds(self, function: str, changes: bool, size: str = "small") -> float:
        """What one invocation takes on AWS: our own work, as long as it took here, and waiting."""
        assumed = self.assumed
        kind = f"one: {'changed' if changes else 'unchanged'}"
        if changes and size == "large" and function == "builder":
            kind = "large: new layer"
        found = self.measured["kinds"][kind]["functions"][function]
        slower = max(1, assumed["vcpu_mib"] / self.measured["memory_mib"][function])
        millis = found["own_ms"] * slower + found["depth"] * assumed["call_ms"]
        if function == "publisher" and changes:
            millis += assumed["publish_layer_ms"]
        if function == "builder":
            if changes:
                zipped = self.measured["sizes"][size]["zip"]
                millis += zipped * 8 / (assumed["bandwidth_mbit"] * 1e6) * 1000
            # An empty cache: all that it takes longer than a full one, and the start.
            cold = self.measured["kinds"][f"{size}, cold"]["functions"]["builder"]["own_ms"]
            warm = self.measured["kinds"][
                "one: new layer" if size == "small" else "large: new layer"
            ]["functions"]["builder"]["own_ms"]
            millis += assumed["cold_share"] * (max(0, cold - warm) + assumed["init_ms"])
        return millis / 1000

    def busy(self, function: str, workload: Workload) -> float:
        """Seconds of one function that a request takes, on average."""
        invocations = 1 if function == "dispatcher" else workload.targets
        changed = self.seconds(function, True, workload.size)
        unchanged = self.seconds(function, False, workload.size)
        return invocations * (workload.changed * changed + (1 - workload.changed) * unchanged)

    # --- quotas -------------------------------------------------------------------------------

    def usage(self, workload: Workload) -> dict[str, float]:
        """What one request takes of each quota that is a rate, in the quota's unit and seconds."""
        counts = self.request(workload)

        def calls(pattern: str) -> float:
            return sum(n for name, n in counts.items() if re.fullmatch(f"calls {pattern}", name))

        def writes(table: str) -> float:
            return sum(
                n for name, n in counts.items() if re.fullmatch(f"units \\S+ write {table}", name)
            )

        return {
            "control_plane": calls(r"\S+ lambda:\w+"),
            "put_parameter": calls(r"\S+ ssm:PutParameter"),
            "get_parameter": calls(r"\S+ ssm:GetParameter"),
            "start_execution": calls(r"\S+ states:StartExecution"),
            "state_transitions": counts["transitions"],
            "concurrency": sum(self.busy(function, workload) for function in FUNCTIONS),
            "queue_readers": self.busy("dispatcher", workload) / BATCH,
            "requests_table": writes("requests"),
            "layers_table": writes("layers"),
            "open_index": writes("requests/open"),
            "pending_index": writes("layers/pending"),
            "put_object": calls(r"\S+ s3:PutObject"),
            "get_object": calls(r"\S+ s3:(Get|Head)Object"),
            "publish": calls(r"\S+ sns:Publish"),
            "log_writes": sum(n for name, n in counts.items() if name.startswith("invocations ")),
        }

    def binds_at(self, workload: Workload) -> dict[str, float]:
        """Requests a minute at which each of them is used up."""
        return {
            name: self.quotas[name]["value"] / used * 60 if used else float("inf")
            for name, used in self.usage(workload).items()
        }

    def first(self, workload: Workload) -> tuple[str, float]:
        """The one that is used up first, and when."""
        return min(self.binds_at(workload).items(), key=lambda it: it[1])

    def raised(self) -> Model:
        """The same where everything is raised that takes no more than a setting."""
        quotas = {
            name: it | {"value": it.get("raised", it["value"])} for name, it in self.quotas.items()
        }
        return Model(self.measured, self.figures | {"quotas": quotas})

    def storage_days(self, workload: Workload, rate: float) -> float:
        """Days until Lambda takes no more layers, at so many requests a minute, or at as many as
        can be published."""
        served, _ = self.publishing(workload)
        layers = min(rate * workload.targets, served * 60)
        grows = layers * workload.changed
        grows *= self.measured["sizes"][workload.size]["unzipped"]
        quota = self.quotas["layer_storage"]["value"] * GB
        return quota / grows / (24 * 60) if grows else float("inf")

    def publishing(self, workload: Workload) -> tuple[float, float]:
        """Targets a second that the publisher can deal with under its own quotas, and how many
        publishers at once that takes: with fewer, the rest waits; with more, calls fail."""
        used = self.usage(workload)
        names = ("control_plane", "put_parameter", "get_parameter")
        limits = [self.quotas[n]["value"] / used[n] * workload.targets for n in names if used[n]]
        rate = min(limits)
        return rate, rate * self.busy("publisher", workload) / workload.targets

    # --- cost ---------------------------------------------------------------------------------

    def cost(self, workload: Workload) -> dict[str, float]:
        """US dollars for a thousand layers, by what they are spent on."""
        counts, prices, assumed = self.request(workload), self.prices, self.assumed
        memory = self.measured["memory_mib"]
        gb_seconds = {f: self.busy(f, workload) * memory[f] / 1024 for f in FUNCTIONS}
        # All of it but what is free.
        tmp = self.busy("builder", workload) * (EPHEMERAL_MIB - 512) / 1024

        def total(pattern: str) -> float:
            return sum(n for name, n in counts.items() if re.fullmatch(pattern, name))

        invocations = total(r"invocations \S+")
        logged = total("log bytes") + invocations * assumed["platform_log_bytes"]
        million = 1e-6
        spent = {
            "builder": gb_seconds["builder"] * prices["lambda_gb_second"]
            + tmp * prices["lambda_tmp_gb_second"],
            "publisher, dispatcher": (gb_seconds["publisher"] + gb_seconds["dispatcher"])
            * prices["lambda_gb_second"],
            "invocations": invocations * prices["lambda_request"] * million,
            "state transitions": counts["transitions"] * prices["transition"] * million,
            "DynamoDB": (
                total(r"units \S+ write \S+") * prices["write_unit"]
                + total(r"units \S+ read \S+") * prices["read_unit"]
            )
            * million,
            "S3 requests": (
                # What drops a request writes too.
                (total(r"calls \S+ s3:PutObject") + 1) * prices["s3_write"]
                + total(r"calls \S+ s3:(Get|Head)Object") * prices["s3_read"]
            )
            * million,
            "SQS, SNS": (
                assumed["sqs_per_request"] * prices["sqs"]
                + total(r"calls \S+ sns:Publish") * prices["sns"]
            )
            * million,
            "logs": logged / GB * prices["log_gb"],
            # All of them: fewer are sampled where there are many.
            "traces": (1 + 2 * workload.targets) * prices["trace"] * million,
        }
        return {name: amount / workload.targets * 1000 for name, amount in spent.items()}

    def idle_cost(self) -> float:
        """US dollars a month when nothing is dropped, without alarms and storage: the repair."""
        repair = flat(self.measured["kinds"]["repair, idle"])
        found = self.measured["kinds"]["repair, idle"]["functions"]["publisher"]
        slower = max(1, self.assumed["vcpu_mib"] / self.measured["memory_mib"]["publisher"])
        millis = found["own_ms"] * slower + found["depth"] * self.assumed["call_ms"]
        memory = self.measured["memory_mib"]["publisher"] / 1024
        reads = sum(n for name, n in repair.items() if " read " in name)
        logged = repair["log bytes"] + self.assumed["platform_log_bytes"]
        once = (
            millis / 1000 * memory * self.prices["lambda_gb_second"]
            + self.prices["lambda_request"] * 1e-6
            + reads * self.prices["read_unit"] * 1e-6
            + logged / GB * self.prices["log_gb"]
        )
        # Five readers ask the empty queue every twenty seconds.
        polls = 5 * MONTH_MINUTES * 3 * self.prices["sqs"] * 1e-6
        return once * MONTH_MINUTES / 5 + polls


def flat(kind: dict) -> dict[str, float]:
    """The figures of a kind of requests under one name each."""
    figures = {f"calls {name}": count for name, count in kind["calls"].items()}
    figures |= {f"units {name}": count for name, count in kind["dynamodb_units"].items()}
    functions = kind["functions"]
    figures |= {f"invocations {name}": it["invocations"] for name, it in functions.items()}
    # AWS counts the start of an execution as one.
    figures["transitions"] = kind["transitions"] + kind["executions"]
    figures["log bytes"] = sum(it["log_bytes"] for it in functions.values())
    return figures


class Patience:
    """How long the pipeline goes on trying, out of its own definitions."""

    def __init__(self, definition: str, template: str):
        build = json.loads(definition)["States"]["Build"]
        self.busy = next(
            it for it in build["Retry"] if "Lambda.TooManyRequestsException" in it["ErrorEquals"]
        )
        queue = _resource(template, "RequestQueue")
        self.visibility = _number(queue, "VisibilityTimeout")
        self.receives = _number(queue, "maxReceiveCount")
        publisher = _resource(template, "PublisherFunction")
        self.retries = _number(publisher, "MaximumRetryAttempts")
        self.event_age = _number(publisher, "MaximumEventAgeInSeconds")
        self.timeout = _number(publisher, "Timeout")

    def builder_waits(self) -> float:
        """Seconds at most until a build that never gets a builder has failed. With full jitter it
        is half of that on average."""
        rule, total = self.busy, 0.0
        for attempt in range(rule["MaxAttempts"]):
            pause = rule["IntervalSeconds"] * rule["BackoffRate"] ** attempt
            total += min(pause, rule["MaxDelaySeconds"])
        return total

    def request_waits(self) -> int:
        """Seconds until a message that always fails is a dead letter."""
        return self.visibility * self.receives

    def publication_waits(self) -> int:
        """Seconds until a publication that always fails at once is a dead letter: one minute, then
        two, as the Lambda Developer Guide says."""
        return sum(60 * (attempt + 1) for attempt in range(self.retries))

    def overload(self, arriving: float, served: float) -> float:
        """Seconds of overload after which what arrives has to wait for too long."""
        return self.event_age * served / (arriving - served) if arriving > served else float("inf")


def _resource(template: str, name: str) -> str:
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n|  #.*\n)+)", template, re.M)
    if not found:
        raise SystemExit(f"error: the template has no {name}")
    return found[1]


def _number(text: str, name: str) -> int:
    found = re.search(rf"\b{name}: ([0-9]+)\b", text)
    if not found:
        raise SystemExit(f"error: the template has no {name}")
    return int(found[1])


# --- the page -------------------------------------------------------------------------------------


def short(value: float, digits: int = 3) -> str:
    """A number with three significant digits, as people write it."""
    if value == float("inf"):
        return "–"
    if value == 0:
        return "0"
    if value >= 100:
        rounded = round(value, digits - len(str(int(value))))
        return f"{rounded:,.0f}"
    text = f"{value:.{digits}g}"
    return f"{float(text):.10f}".rstrip("0").rstrip(".")


def span(seconds: float) -> str:
    """A time as people say it."""
    if seconds == float("inf"):
        return "never"
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{short(seconds / size, 2)} {unit}"
    return f"{short(seconds, 2)} s"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A table, its first column text and the others numbers."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    lines = [head, marks, *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def page(model: Model, patience: Patience) -> str:
    """What stands between the markers."""
    lines: list[str] = []
    lines += ["### What a request takes", "", *taken(model)]
    lines += ["### How long it takes", "", *times(model)]
    lines += ["### Where each quota binds", "", *binding(model)]
    lines += ["### At 1, 100 and 10,000 requests a minute", "", *rates(model, patience)]
    lines += ["### What a thousand layers cost", "", *costs(model)]
    lines += ["### What the figures stand on", "", *sources(model)]
    return "\n".join(lines)


def taken(model: Model) -> list[str]:
    """Counts per request with six targets, and of those that come to nothing."""
    kinds = {
        "new layers": model.counted("new layer", TARGETS),
        "changed": model.counted("changed", TARGETS),
        "unchanged": model.counted("unchanged", TARGETS),
        "a build that fails": flat(model.measured["kinds"]["one: build fails"]),
        "rejected": flat(model.measured["kinds"]["rejected"]),
    }
    names: dict[str, dict[str, float]] = {}
    for column, counts in kinds.items():
        for name, count in counts.items():
            sort, _, rest = name.partition(" ")
            if sort == "calls":
                row = rest.split(" ")[1]
            elif sort == "units":
                row = f"DynamoDB {rest.split(' ')[1]} units"
            elif sort == "invocations":
                row = "invocations"
            else:
                row = {"transitions": "state transitions"}.get(name, name)
            names.setdefault(row, {}).setdefault(column, 0)
            names[row][column] += count
    order = {"invocations": 0, "state transitions": 1, "log bytes": 3}
    rows = [
        [row, *(short(cells.get(column, 0)) for column in kinds)]
        for row, cells in sorted(names.items(), key=lambda it: (order.get(it[0], 2), it[0]))
    ]
    head = ["one request", *kinds]
    head[1:4] = [f"{name}, six targets" for name in head[1:4]]
    return table(head, rows)


def times(model: Model) -> list[str]:
    """What was measured of each function, and what follows for AWS."""
    rows = []
    for function in FUNCTIONS:
        for name, kind, changes, size in (
            ("unchanged", "one: unchanged", False, "small"),
            ("changed", "one: changed", True, "small"),
            ("a large layer", "large: new layer", True, "large"),
        ):
            if size == "large" and function != "builder":
                continue
            found = model.measured["kinds"][kind]["functions"][function]
            rows.append(
                [
                    f"{function}, {name}",
                    str(model.measured["memory_mib"][function]),
                    f"{short(found['own_ms'])} ms",
                    short(found["depth"]),
                    f"{short(model.seconds(function, changes, size) * 1000)} ms",
                ]
            )
    sizes = model.measured["sizes"]
    said = "; ".join(
        f"{name}: zip {short(it['zip'] / 1e6)} MB, unzipped {short(it['unzipped'] / 1e6)} MB, "
        f"manifest {short(it['manifest'] / 1e3)} KB"
        for name, it in sizes.items()
    )
    head = ["one invocation", "memory, MiB", "own work, measured", "calls in a row", "on AWS, modelled"]
    cold = ", ".join(
        f"{short(model.measured['kinds'][f'{size}, cold']['functions']['builder']['own_ms'])} ms "
        f"({size})"
        for size in sizes
    )
    return [
        *table(head, rows),
        f"The builder's own work with an empty cache, downloads and all: {cold}. Layers for python3.13 on "
        f"x86_64: {said}.",
        "",
    ]


def binding(model: Model) -> list[str]:
    """Requests a minute at which each quota is used up."""
    shared = Workload("everything changes, shared layers", 1.0, shared=True)
    workloads = [*WORKLOADS, shared]
    limits = [model.binds_at(workload) for workload in workloads]
    order = sorted(limits[1], key=lambda name: min(limit[name] for limit in limits))
    rows = []
    for name in order:
        quota = model.quotas[name]
        least = [min(limit.values()) for limit in limits]
        cells = [
            f"**{short(limit[name])}**" if limit[name] == low else short(limit[name])
            for limit, low in zip(limits, least, strict=True)
        ]
        rows.append([f"`{name}` {quota['name']}: {quota['value']:,} {quota['unit']}", *cells])
    head = ["requests a minute at which it is used up", *(it.name for it in workloads)]
    raised = model.raised()
    then = [
        f"{workload.name}: `{name}`, at {short(limit)}"
        for workload in workloads
        for name, limit in [raised.first(workload)]
    ]
    dispatchers = 2
    starts = dispatchers * BATCH * TARGETS / model.seconds("dispatcher", True)
    return [
        *table(head, rows),
        f"With higher throughput of SSM, which is a setting of the account, the first one is, for {'; '.join(then)}.",
        "",
        "New accounts may have a hundredth of the concurrency, and reach it at "
        + ", ".join(f"{short(limit['concurrency'] / 100)}" for limit in limits)
        + " requests a minute.",
        "",
        f"One layer: publications of the same layer wait for one another, so it accepts at most "
        f"{short(60 / model.seconds('publisher', True))} changes a minute.",
        "",
        f"`MaximumConcurrency` cannot keep a backlog below the quota of StartExecution: even two dispatchers, the "
        f"minimum, would start {short(starts)} executions a second. Retries do, see below.",
        "",
    ]


def rates(model: Model, patience: Patience) -> list[str]:
    """What binds first at each rate, and what happens then."""
    rows = []
    for rate in RATES:
        for workload in WORKLOADS:
            limits = model.binds_at(workload)
            over = sorted((limit, name) for name, limit in limits.items() if limit < rate)
            first, name = min((limit, name) for name, limit in limits.items())
            served, publishers = model.publishing(workload)
            arriving = rate * workload.targets / 60
            days = model.storage_days(workload, rate)
            days_large = model.storage_days(
                Workload("", workload.changed, workload.targets, size="large"), rate
            )
            fills = "never"
            if days != float("inf"):
                fills = f"{span(days * 86400)}; {span(days_large * 86400)}"
            wait = patience.overload(arriving, served)
            rows.append(
                [
                    f"{rate:,}, {workload.name}",
                    f"`{name}`, {short(rate / first * 100)} %",
                    ", ".join(f"`{it}`" for _, it in over) or "none",
                    fills,
                    short(max(2, int(publishers))) if arriving > served else "any",
                    "never" if wait == float("inf") else f"after {span(wait)}",
                ]
            )
    head = [
        "requests a minute",
        "nearest to its quota",
        "over their quotas",
        "layer storage is full after (small; large layers)",
        "`PublisherReservedConcurrency`",
        "publications too old, with that",
    ]
    builder = patience.builder_waits()
    rate, _ = model.publishing(WORKLOADS[2])
    held = rate * patience.event_age
    starting = model.quotas["start_execution"]
    started = (starting["burst"] + starting["value"] * patience.request_waits()) / TARGETS
    reconciled = (patience.timeout - RESERVE) / model.seconds("publisher", True)
    return [
        *table(head, rows),
        "When the pipeline gives up:",
        "",
        f"- a request that cannot be dispatched: a dead letter after {patience.receives} deliveries, "
        f"{span(patience.request_waits())}. In that time {short(started)} requests can be started, minus those "
        f"lost to throttled attempts;",
        f"- a build without a builder: fails after {patience.busy['MaxAttempts']} more attempts, "
        f"{span(builder / 2)} on average, {span(builder)} at most;",
        f"- a publication whose calls are throttled: a dead letter after {patience.retries} more "
        f"attempts, {span(patience.publication_waits())} and the time of the attempts; the "
        f"reconciler then publishes it, but no more than {short(reconciled)} every five minutes;",
        f"- a publication that finds no publisher free: a dead letter after "
        f"{span(patience.event_age)}. Up to {short(held)} changed layers can wait.",
        "",
    ]


def costs(model: Model) -> list[str]:
    """By what it is spent on."""
    workloads = [
        Workload("unchanged", 0.0),
        Workload("changed", 1.0),
        Workload("changed, large", 1.0, size="large"),
        Workload("unchanged, one target a request", 0.0, targets=1),
    ]
    spent = [model.cost(workload) for workload in workloads]
    rows = [[name, *(f"{it[name]:.4f}" for it in spent)] for name in spent[0]]
    rows.append(["**all**", *(f"**{sum(it.values()):.3f}**" for it in spent)])
    kept = {
        size: it["zip"] / GB * 1000 * model.prices["s3_gb_month"]
        for size, it in model.measured["sizes"].items()
    }
    stored = ", ".join(f"{amount:.2f} USD ({size})" for size, amount in kept.items())
    return [
        *table(["USD for a thousand layers", *(it.name for it in workloads)], rows),
        f"Storage is extra: the artifacts of a thousand changed layers cost {stored} a month. "
        f"Without requests, the reconciler and the polling of the empty queue cost "
        f"{model.idle_cost():.2f} USD a month, alarms and dashboards aside.",
        "",
    ]


def sources(model: Model) -> list[str]:
    """Every figure that was not measured."""
    figures = model.figures
    rows = [
        [
            it["name"],
            f"{it['value']:,} {it['unit']}" + (f", bursts of {it['burst']:,}" if "burst" in it else ""),
            f"{it['other_regions']:,}" if "other_regions" in it else "the same",
            it["scope"],
            it["adjustable"],
            it["source"],
        ]
        for it in figures["quotas"].values()
    ]
    head = ["quota", "value", "smaller regions", "scope", "can be raised", "source"]
    lines = table(head, rows)
    lines[1] = lines[1].replace("---:", "---")
    prices = [
        [it["name"], f"{it['value']:.10f}".rstrip("0").rstrip(".") + f" a {it['unit']}", it["source"]]
        for it in figures["prices"].values()
    ]
    priced = table(["price, us-east-1", "USD", "source"], prices)
    priced[1] = priced[1].replace("---:", "---")
    assumed = [[it["means"], str(it["value"])] for it in figures["assumptions"].values()]
    machine = model.measured["machine"]
    return [
        f"Quotas and prices as of {figures['checked']}; of quotas that differ by region those of us-east-1, "
        "us-west-2 and eu-west-1, or the least of the three.",
        "",
        *lines,
        *priced,
        *table(["assumption that no emulator can check", "value"], assumed),
        f"Measured on {model.measured['date']}, {machine['cores']} cores, Linux {machine['kernel']}, functions of the "
        f"profile `{machine['profile']}`.",
        "",
    ]


def between_markers(text: str, generated: str) -> str:
    """`text` with everything between its markers replaced."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"error: {DOC.name} has to have {BEGIN} and {END}, once each")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n\n{generated}\n{END}{rest.split(END)[1]}"


def load() -> tuple[Model, Patience]:
    """The model of what is committed."""
    here = Path(__file__).parent
    measured = json.loads((here / "measured.json").read_text())
    figures = json.loads((here / "quotas.json").read_text())
    definition = (ROOT / "statemachine/build_layer.asl.json").read_text()
    template = (ROOT / "sam/template.yaml").read_text()
    return Model(measured, figures), Patience(definition, template)


def main() -> int:
    """Writes the page, or holds it against the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    text = DOC.read_text()
    wanted = between_markers(text, page(*load()))
    if arguments.check:
        if text != wanted:
            print("error: docs/scaling.md is not what its figures say; hint: make scaling", file=sys.stderr)
        return int(text != wanted)
    DOC.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
