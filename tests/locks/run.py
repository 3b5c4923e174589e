"""Builds layers from lock files that real tools made, and holds them against what the tools install.

`python tests/locks/run.py --accretion target/release/accretion [WORD…]` locks the projects of
projects/ with each tool of tools.py, builds each lock with `accretion build` for two runtimes on both
architectures, and compares what the manifest says is installed with what the tool says it would
install there: by default, with a group, and with extras. Of a WORD only what has it in its name is
tried, such as `uv`, `web` or `poetry/data`. Exits with 1 if anything differs. A runtime whose CPython
the machine lacks (../popular/interpreters.py) is left out, with a line that starts with `note: `.

Lock files have addresses of registries in them, so none is committed: they are made here, and kept
in --cache until the tool's pinned version or the project changes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import neighbour
import tools
from packaging.utils import canonicalize_name
from packaging.version import Version
from targets import Target, targets
from tools import Failed, Selection, Tool

DEFAULT = Selection()


@dataclass(frozen=True)
class Project:
    """What is tried of a project's lock."""

    name: str
    tools: tuple[type[Tool], ...]
    group: str | None = None
    extras: tuple[str, ...] = ()

    def selections(self, tool: type[Tool]) -> list[Selection]:
        chosen = [DEFAULT]
        if self.group:
            renamed = tool is tools.Pipenv and self.group == "dev"
            chosen.append(Selection(groups=("develop" if renamed else self.group,)))
        if self.extras and tool is not tools.Pipenv:
            chosen.append(Selection(extras=self.extras))
        return chosen


OF_PROJECTS = (tools.Uv, tools.Poetry, tools.Pipenv, tools.Pdm)

BUILT = [
    Project("web", OF_PROJECTS, group="dev", extras=("cache", "auth")),
    Project("data", OF_PROJECTS, group="notebook", extras=("excel", "parquet")),
    Project("cli", (*OF_PROJECTS, tools.PdmWithUrls, tools.PdmPylock), group="docs", extras=("tables", "serve")),
    Project("forks", (tools.Uv, tools.Poetry, tools.PdmForPlatforms)),
    Project("script", (tools.UvScript, tools.Script)),
    Project("legacy", (tools.Poetry1,), group="docs", extras=("tables", "serve")),
]


@dataclass(frozen=True)
class Refusal:
    """A lock that nothing can be built from, and what has to be said about it."""

    project: str
    tools: tuple[type[Tool], ...]
    said: tuple[str, ...]
    """What the error has to say."""
    applies: Callable[[Target], bool] = lambda target: True
    """Where it is refused; elsewhere it is built."""


FROM_ELSEWHERE = (tools.Uv, tools.Poetry, tools.Pipenv, tools.Pdm)
REFUSED = [
    Refusal("git", FROM_ELSEWHERE, ("neighbour", "version control")),
    Refusal("path", FROM_ELSEWHERE, ("neighbour", "local folder")),
    Refusal("unfit", (tools.Uv, tools.Poetry, tools.Pdm), ("pywin32", "no wheel")),
    Refusal("unpinned", (tools.Pipenv,), ("openpyxl",),
            lambda target: target.architecture == "arm64" and target.runtime == "python3.12"),
    Refusal("unpinned", (tools.Pipenv,), ("Python", "3.12"),
            lambda target: target.runtime != "python3.12"),
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accretion", type=Path, required=True, help="the command to test")
    parser.add_argument("--cache", type=Path, default=tools.TOOLS / "cache")
    parser.add_argument("--locks-only", action="store_true", help="make the lock files, print them")
    parser.add_argument("words", nargs="*", metavar="WORD", help="what to try; all by default")
    arguments = parser.parse_args()
    start = time.monotonic()
    cache = arguments.cache.resolve() / "locks"
    cache.mkdir(parents=True, exist_ok=True)
    chosen = [
        (case, tool)
        for case in [*BUILT, *REFUSED]
        for tool in case.tools
        if not arguments.words
        or any(word in f"{tool.name}/{name_of(case)}" for word in arguments.words)
    ]
    if not chosen:
        sys.exit("error: nothing has such a name")
    missing = {tool.program for _, tool in chosen if not tool.program.exists()}
    if missing:
        sys.exit(f"error: no {', '.join(map(str, sorted(missing)))}; hint: make lockers")
    found = targets(cache, tools.Uv.program)
    if not found:
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="locks-") as folder,
        neighbour.served(cache) as replaced,
        # The tools wait for the index more than they compute.
        ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as threads,
    ):
        check = Check(arguments.accretion.resolve(), arguments.cache, found, Path(folder), replaced)
        # Of one project's lock at a time, so that no two threads make the same one.
        of_lock: dict[str, list] = {}
        for case, tool in chosen:
            of_lock.setdefault(f"{tool.name}/{name_of(case)}", []).append((case, tool))
        if arguments.locks_only:
            locks = threads.map(lambda cases: check.locked(*cases[0]), of_lock.values())
            print(*locks, sep="\n")
            return 0
        failures = compared = refused = 0
        results = threads.map(lambda cases: [check.run(*case) for case in cases], of_lock.values())
        for name, done in zip(of_lock, results, strict=True):
            for result in done:
                compared += result.compared
                refused += result.refused
                failures += bool(result.problems)
                what = f"{result.compared} layers" if result.compared else ""
                what += f"{result.refused} refused" if result.refused else ""
                print(f"{'FAILED' if result.problems else 'ok':<7} {name}: {what}", flush=True)
                for problem in result.problems:
                    print(problem)
    seconds = time.monotonic() - start
    print(
        f"{compared} layers have what the tools install, {refused} refused as they have to be,"
        f" {failures} locks with problems ({seconds:.0f} s)"
    )
    return 1 if failures else 0


def name_of(case: Project | Refusal) -> str:
    return case.name if isinstance(case, Project) else case.project


@dataclass
class Result:
    problems: list[str]
    compared: int = 0
    refused: int = 0


class Check:
    def __init__(
        self,
        accretion: Path,
        cache: Path,
        found: list[Target],
        folder: Path,
        replaced: dict[str, str],
    ) -> None:
        self.accretion = accretion
        self.targets = found
        self.folder = folder
        self.replaced = replaced
        self.locks = cache.resolve() / "locks"
        self.environment = os.environ | {
            "UV_CACHE_DIR": str(cache.resolve() / "uv"),
            "UV_PYTHON_DOWNLOADS": "never",
            "ACCRETION_UV": str(tools.Uv.program),
            "ACCRETION_CACHE_DIR": str(cache.resolve() / "accretion"),
        }

    def locked(self, case: Project | Refusal, tool: type[Tool]) -> Path:
        return tool(self.locks).locked(name_of(case), self.targets[0], self.replaced)

    def run(self, case: Project | Refusal, tool: type[Tool]) -> Result:
        result = Result([])
        try:
            lock = self.locked(case, tool)
            if isinstance(case, Project):
                for selection in case.selections(tool):
                    for target in self.targets:
                        self.compare(lock, tool(self.locks), target, selection, result)
            else:
                for target in filter(case.applies, self.targets):
                    self.refuse(lock, target, case, result)
        except Failed as failed:
            result.problems.append(str(failed))
        return result

    def compare(
        self, lock: Path, tool: Tool, target: Target, selection: Selection, result: Result
    ) -> None:
        where = f"  {target}, {selection}"
        known = len(result.problems)
        expected = tool.answer(lock.parent, target, selection)
        assert expected, f"{tool.name} says that it installs nothing from {lock}"
        built, said, manifest = self.build(lock, target, selection)
        if not built:
            result.problems.append(f"{where}: not built: {said}")
            return
        installed = {
            canonicalize_name(it["Name"]): str(Version(it["Version"])) for it in manifest["Installed"]
        }
        for name in sorted(installed.keys() | expected.keys()):
            ours, theirs = installed.get(name), expected.get(name)
            if ours != theirs:
                result.problems.append(f"{where}: {name}: layer {ours}, {tool.name} {theirs}")
        hashes = set(re.findall(r'sha256(?::| = ")([0-9a-f]{64})', lock.read_text()))
        for it in manifest["Installed"]:
            if tool.is_locked and it["Sha256"] not in hashes:
                result.problems.append(f"{where}: {it['Wheel']}: its hash is not in the lock")
        result.compared += len(result.problems) == known

    def refuse(self, lock: Path, target: Target, refusal: Refusal, result: Result) -> None:
        built, said, _ = self.build(lock, target, DEFAULT)
        missing = [text for text in refusal.said if text not in said]
        if built:
            result.problems.append(f"  {target}: built, and should have been refused")
        elif missing:
            result.problems.append(f"  {target}: does not say {' and '.join(missing)}:\n{said}")
        else:
            result.refused += 1

    def build(self, lock: Path, target: Target, selection: Selection) -> tuple[bool, str, dict]:
        """Whether there is a layer, what was said, and the layer's manifest."""
        with tempfile.TemporaryDirectory(dir=self.folder) as output:
            options = [f"--group={group}" for group in selection.groups]
            options += [f"--extra={extra}" for extra in selection.extras]
            done = subprocess.run(
                [
                    self.accretion, "build", lock, "--name", "locked", "--quiet", *options,
                    "--runtime", target.runtime, "--architecture", target.architecture,
                    "--output", output,
                ],
                env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip
            left = sorted(Path(output).iterdir())
            if done.returncode != 0:
                said = done.stdout + done.stderr
                if left:
                    said += f"\nand it left {', '.join(it.name for it in left)}"
                return False, said, {}
            [manifest] = [it for it in left if it.suffix == ".manifest"]
            return True, done.stderr, json.loads(manifest.read_text())


if __name__ == "__main__":
    sys.exit(main())
