"""The model on figures that are easily reckoned, and the page against the figures."""

from __future__ import annotations

import copy
import json
import re
import unittest
from pathlib import Path

import model
from model import Model, Patience, Workload

HERE = Path(__file__).parent


def kind(calls: dict, units: dict, own: float = 10, depth: int = 2, invocations: int = 1) -> dict:
    """Figures of one kind of requests."""
    functions = {
        name: {"invocations": invocations, "log_bytes": 100, "own_ms": own, "depth": depth}
        for name in model.FUNCTIONS
    }
    return {
        "calls": calls,
        "dynamodb_units": units,
        "executions": 1,
        "transitions": 4,
        "functions": functions,
    }


def measured() -> dict:
    """A pipeline that calls one thing for each request and one for each target."""

    def both(name: str, per_target: dict) -> dict:
        kinds = {}
        for prefix, targets in (("one", 1), ("six", 6)):
            calls = {"dispatcher s3:GetObject": 1}
            calls |= {it: count * targets for it, count in per_target.items()}
            found = kind(calls, {"publisher write layers": 2 * targets})
            found["transitions"], found["executions"] = 4 * targets, targets
            kinds[f"{prefix}: {name}"] = found
        return kinds

    changed = {"publisher lambda:PublishLayerVersion": 1, "publisher ssm:PutParameter": 1}
    unchanged = {"publisher lambda:GetLayerVersion": 1}
    starts = {"dispatcher states:StartExecution": 1, "publisher ssm:GetParameter": 1}
    kinds = both("changed", changed | starts) | both("unchanged", unchanged | starts)
    kinds |= both("new layer", changed | starts)
    kinds |= {f"{size}, cold": kind({}, {}, own=1010) for size in ("small", "large")}
    kinds |= {"large: new layer": kind({}, {}), "repair, idle": kind({}, {})}
    return {
        "memory_mib": {"dispatcher": 500, "builder": 2000, "publisher": 500},
        "sizes": {
            "small": {"zip": 10_000_000, "unzipped": 40_000_000, "manifest": 1},
            "large": {"zip": 50_000_000, "unzipped": 200_000_000, "manifest": 1},
        },
        "state_writes": {"RecordBuilding": {"requests": 1, "requests/open": 2}},
        "kinds": kinds,
    }


FIGURES = {
    "quotas": json.loads((HERE / "quotas.json").read_text())["quotas"],
    "prices": json.loads((HERE / "quotas.json").read_text())["prices"],
    "assumptions": {
        name: {"value": value}
        for name, value in {
            "call_ms": 100,
            "publish_layer_ms": 3000,
            "bandwidth_mbit": 80,
            "cold_share": 0.5,
            "init_ms": 200,
            "platform_log_bytes": 1000,
            "sqs_per_request": 3,
            "vcpu_mib": 1000,
        }.items()
    },
}


class Counting(unittest.TestCase):
    def setUp(self):
        self.model = Model(measured(), FIGURES)

    def test_what_grows_with_targets_grows_and_what_does_not_stays(self):
        for targets in (1, 3, 6, 12):
            counts = self.model.counted("changed", targets)
            self.assertAlmostEqual(counts["calls dispatcher s3:GetObject"], 1)
            self.assertAlmostEqual(counts["calls publisher lambda:PublishLayerVersion"], targets)
            self.assertAlmostEqual(counts["units states write requests/open"], 2 * targets)

    def test_a_mixture_is_as_much_of_each_as_is_said(self):
        used = self.model.usage(Workload("", 0.25))
        # A version is looked up or published: one call of the control plane either way.
        self.assertAlmostEqual(used["control_plane"], 6)
        self.assertAlmostEqual(used["put_parameter"], 1.5)
        self.assertAlmostEqual(used["layers_table"], 12)
        self.assertAlmostEqual(used["open_index"], 12)

    def test_shared_layers_take_one_more_call(self):
        used = self.model.usage(Workload("", 1.0, shared=True))
        self.assertAlmostEqual(used["control_plane"], 12)

    def test_the_quota_with_the_least_room_is_the_first(self):
        # Three calls a second, one for each of six targets: half a request a second.
        name, limit = self.model.first(Workload("", 1.0))
        self.assertEqual(name, "put_parameter")
        self.assertAlmostEqual(limit, 30)
        name, limit = self.model.first(Workload("", 0.0))
        self.assertEqual(name, "control_plane")
        self.assertAlmostEqual(limit, 150)
        name, limit = self.model.raised().first(Workload("", 1.0))
        self.assertEqual(name, "put_parameter")
        self.assertAlmostEqual(limit, 100)

    def test_fewer_targets_leave_room_for_more_requests(self):
        self.assertAlmostEqual(self.model.first(Workload("", 0.0, targets=1))[1], 900)


class Time(unittest.TestCase):
    def setUp(self):
        self.model = Model(measured(), FIGURES)

    def test_own_work_is_slower_with_less_than_a_processor_and_calls_wait(self):
        # 10 ms on half a processor, and two calls of 100 ms.
        self.assertAlmostEqual(self.model.seconds("dispatcher", False), 0.220)
        self.assertAlmostEqual(self.model.seconds("publisher", True), 3.220)

    def test_a_builder_uploads_and_begins_with_nothing_now_and_then(self):
        # A second longer and 200 ms to start, every second time.
        self.assertAlmostEqual(self.model.seconds("builder", False), 0.210 + 0.6)
        # Ten megabytes at ten megabytes a second.
        self.assertAlmostEqual(self.model.seconds("builder", True), 0.210 + 0.6 + 1)
        self.assertAlmostEqual(self.model.seconds("builder", True, "large"), 0.210 + 0.6 + 5)

    def test_as_many_publishers_as_keep_the_quota_busy(self):
        rate, publishers = self.model.publishing(Workload("", 1.0))
        self.assertAlmostEqual(rate, 3)
        self.assertAlmostEqual(publishers, 3 * 3.220)

    def test_storage_fills_as_fast_as_layers_are_published(self):
        # Six layers of 40 MB a minute.
        days = self.model.storage_days(Workload("", 1.0), 1)
        self.assertAlmostEqual(days * 24 * 60, 300e9 / 240e6)
        # No more than three a second can be.
        days = self.model.storage_days(Workload("", 1.0), 10_000)
        self.assertAlmostEqual(days * 24 * 60, 300e9 / (180 * 40e6))
        self.assertEqual(self.model.storage_days(Workload("", 0.0), 1), float("inf"))


class Cost(unittest.TestCase):
    def test_each_part_is_reckoned_by_itself(self):
        spent = Model(measured(), FIGURES).cost(Workload("", 0.0, targets=1))
        # Four transitions a layer and the start, at 25 USD a million, and a thousand layers.
        self.assertAlmostEqual(spent["state transitions"], 0.125)
        # Two units of the layers' table and three by the state machine.
        self.assertAlmostEqual(spent["DynamoDB"], 5 * 0.625 / 1000)
        # One object dropped, one read.
        self.assertAlmostEqual(spent["S3 requests"], (5 + 0.4) / 1000)
        self.assertAlmostEqual(spent["invocations"], 3 * 0.2 / 1000)
        self.assertAlmostEqual(spent["logs"], 3 * 1100 / 1e9 * 0.5 * 1000)

    def test_what_a_request_takes_once_is_shared_by_its_layers(self):
        found = Model(measured(), FIGURES)
        one, six = (found.cost(Workload("", 0.0, targets=it)) for it in (1, 6))
        self.assertLess(six["S3 requests"], one["S3 requests"])
        self.assertAlmostEqual(six["state transitions"], one["state transitions"])


class GivingUp(unittest.TestCase):
    DEFINITION = json.dumps(
        {
            "States": {
                "Build": {
                    "Retry": [
                        {
                            "ErrorEquals": ["Lambda.TooManyRequestsException"],
                            "IntervalSeconds": 2,
                            "BackoffRate": 2,
                            "MaxDelaySeconds": 10,
                            "MaxAttempts": 5,
                        }
                    ]
                }
            }
        }
    )
    TEMPLATE = """Resources:
  RequestQueue:
    Properties:
      VisibilityTimeout: 180
      RedrivePolicy: {maxReceiveCount: 5}
  PublisherFunction:
    Properties:
      Timeout: 120
      EventInvokeConfig:
        MaximumRetryAttempts: 2
        MaximumEventAgeInSeconds: 21600
  Other:
    Properties: {}
"""

    def test_pauses_grow_to_their_limit(self):
        patience = Patience(self.DEFINITION, self.TEMPLATE)
        self.assertEqual(patience.builder_waits(), 2 + 4 + 8 + 10 + 10)
        self.assertEqual(patience.request_waits(), 900)
        self.assertEqual(patience.publication_waits(), 180)
        self.assertEqual(patience.timeout, 120)

    def test_the_more_comes_in_vain_the_sooner_it_is_too_old(self):
        patience = Patience(self.DEFINITION, self.TEMPLATE)
        self.assertEqual(patience.overload(30, 15), 21600)
        self.assertEqual(patience.overload(150, 15), 2400)
        self.assertEqual(patience.overload(15, 15), float("inf"))

    def test_a_template_without_them_is_refused(self):
        for name in ("RequestQueue:", "maxReceiveCount"):
            with self.assertRaises(SystemExit):
                Patience(self.DEFINITION, self.TEMPLATE.replace(name, "X:"))


class Page(unittest.TestCase):
    def test_numbers_are_written_as_people_write_them(self):
        for value, text in (
            (0, "0"),
            (0.00012345, "0.000123"),
            (1.5, "1.5"),
            (99.96, "100"),
            (1234.5, "1,230"),
            (60_000, "60,000"),
            (float("inf"), "–"),
        ):
            self.assertEqual(model.short(value), text)
        for seconds, text in ((65, "65 s"), (900, "15 min"), (21600, "6 h"), (3e5, "3.5 days")):
            self.assertEqual(model.span(seconds), text)

    def test_a_page_without_markers_is_refused(self):
        for text in ("", model.BEGIN, model.END):
            with self.assertRaises(SystemExit):
                model.between_markers(text, "figures")

    def test_it_says_what_the_figures_say(self):
        text = model.DOC.read_text()
        wanted = model.between_markers(text, model.page(*model.load()))
        self.assertEqual(text, wanted, "docs/scaling.md is stale: `make scaling`")

    def test_another_figure_is_another_page(self):
        found, patience = model.load()
        before = model.page(found, patience)
        for part in ("measured", "figures"):
            changed = Model(copy.deepcopy(found.measured), copy.deepcopy(found.figures))
            if part == "measured":
                changed.measured["kinds"]["six: unchanged"]["transitions"] += 6
            else:
                changed.quotas["control_plane"]["value"] = 30
            self.assertNotEqual(model.page(changed, patience), before)


class Figures(unittest.TestCase):
    def test_every_quota_says_what_it_is_and_where_that_stands(self):
        figures = json.loads((HERE / "quotas.json").read_text())
        self.assertRegex(figures["checked"], r"^20\d\d-\d\d-\d\d$")
        for quota in figures["quotas"].values():
            self.assertLessEqual(
                {"name", "value", "unit", "scope", "adjustable", "source"}, quota.keys()
            )
        for price in figures["prices"].values():
            self.assertEqual(price.keys(), {"name", "value", "unit", "source"})
        for assumption in figures["assumptions"].values():
            self.assertEqual(assumption.keys(), {"value", "means"})

    def test_what_was_measured_is_linear_in_the_targets(self):
        """Otherwise the model's first step is wrong."""
        found, _ = model.load()
        for kind_name in ("new layer", "changed", "unchanged"):
            for name, count in found.counted(kind_name, 1).items():
                grown = found.counted(kind_name, 6)[name]
                if name != "log bytes":
                    self.assertAlmostEqual((grown - count) % 5, 0, msg=f"{kind_name}: {name}")
                self.assertGreaterEqual(grown, count, f"{kind_name}: {name}")

    def test_the_constants_are_those_of_the_sources(self):
        rust = (model.ROOT / "shared/service/src/publish.rs").read_text()
        reserve = re.search(r"const RESERVE: Duration = Duration::from_secs\((\d+)\)", rust)
        self.assertEqual(int(reserve[1]), model.RESERVE)
        template = (model.ROOT / "sam/template.yaml").read_text()
        storage = re.search(r"BuilderEphemeralStorage:\n.*Default: (\d+)", template)
        self.assertEqual(int(storage[1]), model.EPHEMERAL_MIB)
        self.assertIn(f"BatchSize: {model.BATCH}", template)
        readers = re.search(r"MaximumConcurrency:\n.*Default: (\d+)", template)
        figures = json.loads((HERE / "quotas.json").read_text())
        self.assertEqual(int(readers[1]), figures["quotas"]["queue_readers"]["value"])


if __name__ == "__main__":
    unittest.main()
