"""Checks the arithmetic and the rewriting of the page; `make bench-test` runs it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

import bench
import report
from contenders import BASELINE, FLOOR, of_lock
from measure import CommandFailed, Step, own_peak_rss, run
from workspace import LOCK_NAMES

MIB = 1024 * 1024


def results(**samples: list[list[float]]) -> dict:
    """Results of set L alone; names are given with `_` for `-` and `uv_zip` for the baseline."""
    names = {"uv_zip": BASELINE}
    rows = {names.get(k, k.replace("_", "-")): {"samples": v} for k, v in samples.items()}
    described = {
        "packages": ["numpy==2.0.0"],
        "contenders": rows,
        "wheels_size": 10 * MIB,
        "unzipped_size": 40 * MIB,
        "zip9_size": 9 * MIB,
    }
    return {
        "format": 1,
        "runs": 3,
        "harness_rss": 20 * MIB,
        "machine": {"CPU": "some"},
        "labels": {name: name for name in rows},
        "sets": {"L": described},
    }


class Ratios(unittest.TestCase):
    def test_a_ratio_is_the_median_of_pairs_not_the_ratio_of_medians(self):
        got = results(
            uv_zip=[[10, 1, 1], [40, 1, 1], [90, 1, 1]],
            accretion_locked=[[10, 1, 1], [2, 1, 1], [3, 1, 1]],
        )
        # Pairs: 1, 20, 30; medians: 40 / 3.
        self.assertEqual(report.ratio(got, "L", BASELINE, "accretion-locked", report.WALL), 20)

    def test_what_was_not_measured_has_no_ratio(self):
        got = results(uv_zip=[[10, 1, 1]])
        self.assertIsNone(report.ratio(got, "L", BASELINE, "accretion-locked", report.WALL))
        self.assertIsNone(report.middle(got, "L", "accretion-locked", report.WALL))


class Goals(unittest.TestCase):
    def measured(
        self, wall: float = 0.2, cpu: float = 0.12, rss: int = 60 * MIB, lock_wall: float = 1.3
    ) -> dict:
        got = results(
            uv_zip=[[8, 8, 1]],
            uv_cold=[[3, 1, 1]],
            accretion_locked=[[wall, cpu, rss]],
            **{of_lock(name): [[wall * lock_wall, 0.1, rss]] for name in LOCK_NAMES},
            accretion_online=[[0.6, 0.3, 90 * MIB]],
            accretion_cold=[[3, 1, 90 * MIB]],
            floor=[[0.1, 0.1, 1]],
        )
        for name, row in got["sets"]["L"]["contenders"].items():
            if name.startswith("accretion"):
                row |= {"own_rss": 50 * MIB, "difference": [0, 0, 0], "identical": True}
        return got

    def missed(self, got: dict) -> list[str]:
        return [goal.name for goal in report.goals(got) if not goal.met]

    def test_limits_are_met_when_reached(self):
        self.assertEqual(self.missed(self.measured()), [])

    def test_each_number_can_miss_its_goal(self):
        self.assertEqual(
            self.missed(self.measured(wall=0.21)), ["L: locked and warm, wall time under uv + zip"]
        )
        self.assertEqual(
            self.missed(self.measured(cpu=0.13)), ["L: locked and warm, CPU over the floor"]
        )
        self.assertEqual(
            self.missed(self.measured(lock_wall=1.31)),
            [f"L: {name}, wall time over pylock.toml" for name in LOCK_NAMES],
        )
        # The locked build has no child: its own peak is what wait4 saw.
        self.assertEqual(
            self.missed(self.measured(rss=65 * MIB)), ["L: peak memory of accretion itself"]
        )

    def test_a_quick_build_of_another_layer_does_not_count(self):
        same = ["L: same files as uv + zip, same bytes every time"]
        for fault in ({"difference": [0, 3, 0]}, {"difference": [0, 0, 1]}, {"identical": False}):
            got = self.measured()
            got["sets"]["L"]["contenders"]["accretion-online"] |= fault
            self.assertEqual(self.missed(got), same)
        got = self.measured()
        rows = got["sets"]["L"]["contenders"]
        got["sets"]["L"]["contenders"] = {k: v for k, v in rows.items() if "accretion" not in k}
        self.assertEqual(self.missed(got)[:1], same)

    def test_a_goal_without_numbers_is_missed(self):
        got = self.measured()
        del got["sets"]["L"]["contenders"]["accretion-cold"]
        del got["sets"]["L"]["contenders"][FLOOR]
        self.assertEqual(
            self.missed(got),
            ["L: cold, wall time under uv alone, cold", "L: locked and warm, CPU over the floor"],
        )


class Page(unittest.TestCase):
    def test_the_template_takes_a_page_twice_and_keeps_what_was_written_by_hand(self):
        template = report.TEMPLATE.read_text()
        once = report.between_markers(template, "numbers of May") + "by hand\n"
        twice = report.between_markers(once, "numbers of June")
        self.assertIn("numbers of June", twice)
        self.assertNotIn("numbers of May", twice)
        self.assertTrue(twice.endswith("by hand\n"))

    def test_a_page_without_markers_is_refused(self):
        for text in ("", report.BEGIN, report.END):
            with self.assertRaises(SystemExit):
                report.between_markers(text, "numbers")

    def test_a_contender_that_cannot_run_says_why(self):
        got = results(uv_zip=[[8, 8, MIB]])
        got["sets"]["L"]["contenders"]["sam+zip"] = {"unavailable": "no python3.12"}
        got["labels"]["sam+zip"] = "sam"
        self.assertIn("| sam | not measured: no python3.12 |", report.document(got, []))
        self.assertIn("not measured: no python3.12", report.text(got, report.goals(got)))

    def test_a_peak_that_the_harness_hides_is_a_bound(self):
        got = results(uv_zip=[[8, 8, 21 * MIB]], floor=[[1, 1, 20 * MIB]])
        page = report.document(got, [])
        self.assertIn("| ≤ 20.0 MiB |", page)
        self.assertIn("| 21.0 MiB |", page)

    def test_the_json_reads_back_as_it_was(self):
        got = results(uv_zip=[[8, 8, 1], [9, 9, 1]])
        self.assertEqual(json.loads(report.compact(got)), got)


class Measuring(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.log = self.folder / "log"

    def python(self, code: str) -> Step:
        return Step([sys.executable, "-c", code], self.folder)

    def test_cpu_of_waited_grandchildren_counts(self):
        burn = "import time\nwhile time.process_time() < 0.3: pass"
        nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
        sample = run([self.python(nested)], dict(os.environ), self.log)
        self.assertGreaterEqual(sample.cpu, 0.3)
        self.assertGreaterEqual(sample.wall, 0.3)

    def test_own_memory_leaves_a_bigger_child_out(self):
        hog = "b = bytearray(200 * 1024 * 1024); b[::4096] = b'1' * len(b[::4096])"
        nested = self.python(
            f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hog!r}])"
        )
        tree = run([nested], dict(os.environ), self.log).rss
        own = own_peak_rss(nested, dict(os.environ), self.log)
        self.assertGreater(tree, 200 * MIB)
        self.assertLess(own, 100 * MIB)
        self.assertGreater(own, MIB)

    def test_a_failure_shows_the_end_of_the_output(self):
        with self.assertRaisesRegex(CommandFailed, "(?s)status 3.*the reason"):
            run(
                [self.python("print('the reason'); raise SystemExit(3)")],
                dict(os.environ),
                self.log,
            )


class Contents(unittest.TestCase):
    def test_installers_own_files_are_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            layer = Path(folder) / "layer.zip"
            with zipfile.ZipFile(layer, "w") as archive:
                for name in (
                    "python/a.py",
                    "python/bin/a",
                    "python/a-1.dist-info/RECORD",
                    "python/b/",
                ):
                    archive.writestr(name, "")
            self.assertEqual(bench.contents(layer), {"python/a.py": 0})


if __name__ == "__main__":
    unittest.main()
