#!/usr/bin/env python3
"""Runs the tests of the workspace side by side, and says where the time goes.

`cargo test` runs one binary after the other and tells no times. Here suites that wait for most of
their time run in one lane, and those that keep the processor busy in another. Times of tests come from
the test harness, which gives them only with unstable options.

Writes JUnit XML. Ends with the slowest tests and one line that sums up.
"""

import argparse
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
# They wait for leases to end, for messages to come again, for sandboxes.
WAITING = {f"pipeline/{name}" for name in ("chaos", "limits", "permissions", "sandboxes")}
SLOW_SECONDS = 60
SLOWEST = 10


# A test of an example, as rustdoc names it.
DOC_TEST = re.compile(r"^test (.+ \(line \d+\).*) \.\.\. (ok|FAILED|ignored)$", re.MULTILINE)


@dataclass
class Test:
    suite: str
    name: str
    outcome: str
    seconds: float
    output: str = ""


@dataclass
class Suite:
    """A test binary, or the examples in doc comments."""

    name: str
    program: Path | None
    folder: Path
    tests: list[Test] = field(default_factory=list)
    problem: str = ""
    seconds: float = 0
    cpu_seconds: float = 0

    @property
    def failed(self) -> list[Test]:
        return [test for test in self.tests if test.outcome == "failed"]

    def summary(self) -> str:
        outcome = "FAILED" if self.failed or self.problem else "ok"
        count = sum(test.outcome != "ignored" for test in self.tests)
        times = f"{self.seconds:6.1f} s, {self.cpu_seconds:6.1f} s of CPU"
        return f"{outcome:6} {self.name:20} {count:4} tests {times}"


def compiled(cargo: str) -> list[Suite]:
    """Compiles the tests and lists their binaries."""
    command = [cargo, "test", "--workspace", "--locked", "--no-run"]
    command.append("--message-format=json-render-diagnostics")
    build = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if build.returncode != 0:
        sys.exit(build.returncode)
    suites = []
    for line in build.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            folder = Path(message["manifest_path"]).parent
            name, target = folder.name, message["target"]
            if target["kind"] == ["test"]:
                name = target["name"] if name == "tests" else f"{name}/{target['name']}"
            suites.append(Suite(name, Path(message["executable"]), folder))
    return suites


def run(suite: Suite, arguments: list[str], report) -> None:
    command = [suite.program, "-Z", "unstable-options", "--format=json", "--report-time", *arguments]
    # Lets the harness of a stable compiler take unstable options; the tests themselves unset it for
    # what they compile.
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1", "LD_LIBRARY_PATH": libraries()}
    started, since = time.monotonic(), {}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=suite.folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace",
        )
        watch = threading.Event()
        threading.Thread(target=remind, args=(suite, since, watch, report), daemon=True).start()
        finished = False
        for line in process.stdout:
            event = parsed(line)
            kind, outcome = event.get("type"), event.get("event")
            if kind == "test" and outcome == "started":
                since[event["name"]] = time.monotonic()
            elif kind == "test" and outcome != "timeout":
                since.pop(event["name"], None)
                test = Test(suite.name, event["name"], outcome, event.get("exec_time", 0.0))
                test.output = event.get("stdout", event.get("message", ""))
                suite.tests.append(test)
                if outcome == "failed":
                    report(f"FAILED {suite.name} {test.name}\n{test.output}")
            elif kind == "suite" and outcome != "started":
                finished = True
        watch.set()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        suite.seconds = time.monotonic() - started
        suite.cpu_seconds = usage.ru_utime + usage.ru_stime
        if not finished or (process.returncode != 0 and not suite.failed):
            errors.seek(0)
            running = ", ".join(since) or "none"
            suite.problem = f"ended with {process.returncode}; tests running: {running}"
            report(f"FAILED {suite.name}: {suite.problem}\n{errors.read()[-20_000:]}")
    report(suite.summary())


@functools.cache
def libraries() -> str:
    """The folder of the compiler's libraries, which tests of a macro are linked to."""
    command = ["rustc", "--print", "target-libdir"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return os.pathsep.join(filter(None, [found, os.environ.get("LD_LIBRARY_PATH")]))


def parsed(line: str) -> dict:
    """An event of the harness; anything else that is printed is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def remind(suite: Suite, since: dict[str, float], watch: threading.Event, report) -> None:
    """Names tests that run for long, once each."""
    named = set()
    while not watch.wait(1):
        for name, start in list(since.items()):
            if name not in named and time.monotonic() - start > SLOW_SECONDS:
                named.add(name)
                report(f"SLOW   {suite.name} {name} runs for over {SLOW_SECONDS} s")


def run_doc_tests(suite: Suite, cargo: str, report) -> None:
    """Runs the examples in doc comments, which cargo compiles as it goes."""
    started = time.monotonic()
    command = [cargo, "test", "--doc", "--workspace", "--locked"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    suite.seconds = time.monotonic() - started
    for name, outcome in DOC_TEST.findall(process.stdout):
        suite.tests.append(Test(suite.name, name, outcome.lower(), 0.0))
    if process.returncode != 0:
        suite.problem = f"ended with {process.returncode}"
        report(process.stdout + process.stderr)
    report(suite.summary())


def write_junit(path: Path, suites: list[Suite]) -> None:
    root = ElementTree.Element("testsuites")
    for suite in suites:
        of_suite = ElementTree.SubElement(
            root, "testsuite", name=suite.name, tests=str(len(suite.tests)),
            failures=str(len(suite.failed)), errors=str(int(bool(suite.problem))),
            time=f"{suite.seconds:.3f}",
        )
        for test in suite.tests:
            case = ElementTree.SubElement(
                of_suite, "testcase", classname=suite.name, name=test.name,
                time=f"{test.seconds:.3f}",
            )
            if test.outcome == "failed":
                ElementTree.SubElement(case, "failure").text = printable(test.output)
            if test.outcome == "ignored":
                ElementTree.SubElement(case, "skipped")
        if suite.problem:
            ElementTree.SubElement(of_suite, "system-err").text = printable(suite.problem)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def printable(text: str) -> str:
    """XML has no other control characters."""
    return "".join(it if it in "\n\t" or it.isprintable() else "\N{REPLACEMENT CHARACTER}" for it in text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cargo", default="cargo")
    parser.add_argument("--junit", type=Path, default=ROOT / "target/junit.xml")
    parser.add_argument("--all", action="store_true", help="run the tests that are ignored, too")
    parser.add_argument("suite", nargs="*", help="a suite to run; all of them by default")
    options = parser.parse_args()
    printing = threading.Lock()

    def report(text: str) -> None:
        with printing:
            print(text, flush=True)

    suites = [*compiled(options.cargo), Suite("doc", None, ROOT)]
    chosen = [suite for suite in suites if not options.suite or suite.name in options.suite]
    lanes = [[it for it in chosen if (it.name in WAITING) == waits] for waits in (True, False)]

    def run_lane(lane: list[Suite]) -> None:
        for suite in lane:
            if suite.program is None:
                run_doc_tests(suite, options.cargo, report)
            else:
                run(suite, ["--include-ignored"] if options.all else [], report)

    started = time.monotonic()
    with tempfile.NamedTemporaryFile("r") as untested:
        os.environ["ACCRETION_UNTESTED"] = untested.name
        threads = [threading.Thread(target=run_lane, args=(lane,)) for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        notes = sorted(set(untested.read().splitlines()))
    write_junit(options.junit, chosen)

    tests = [test for suite in chosen for test in suite.tests]
    print(f"the {SLOWEST} slowest tests:")
    for test in sorted(tests, key=lambda test: -test.seconds)[:SLOWEST]:
        print(f"  {test.seconds:6.1f} s  {test.suite} {test.name}")
    if notes:
        print("note: left out for want of CPython 3.12 to 3.14 (`make interpreters` installs them):")
        print("".join(f"  {note}\n" for note in notes), end="")
    seconds, cpu_seconds = time.monotonic() - started, sum(it.cpu_seconds for it in chosen)
    print(f"{len(chosen)} suites in {seconds:.0f} s, {cpu_seconds:.0f} s of CPU: {options.junit}")
    passed, ignored = (sum(it.outcome == outcome for it in tests) for outcome in ("ok", "ignored"))
    failed = sum(len(suite.failed) or bool(suite.problem) for suite in chosen)
    if ignored:
        print(f"{ignored} long tests are left to `make test-all`")
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


if __name__ == "__main__":
    sys.exit(main())
