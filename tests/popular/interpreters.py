"""Finds the CPythons of this machine: the one discovery of all tests.

`python tests/popular/interpreters.py` prints the one that layers are imported with, a supported
Lambda runtime, as `RUNTIME ARCHITECTURE PATH`, such as `python3.13 x86_64 /usr/bin/python3.13`. It
exits with 1 if the machine has none. `--all` prints one of each version that layers can be built
for, deprecated ones included, and succeeds whatever there is.

`ACCRETION_TEST_PYTHON` names interpreters that come before all others, separated by colons.
"""

from __future__ import annotations

import functools
import glob
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What layers can be built for, and of that the runtimes that a request gets by default. The first
# one that is here is taken; popular distributions are pinned with Python 3.13 in mind.
MINORS = (13, 12, 14, 11, 10)
SUPPORTED = (13, 12, 14)
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}

# Where `make interpreters` installs some.
INSTALLED = Path(__file__).resolve().parents[2] / ".tools" / "interpreters"

# A virtual environment may hold packages, so it stands for the interpreter that it was made with.
PROBE = (
    "import platform, sys;"
    "print(sys.version_info[1], platform.machine(), platform.libc_ver()[0],"
    " platform.python_implementation(), sys.version_info[0],"
    " getattr(sys, '_base_executable', None) or sys.executable, sep=chr(9))"
)


class Interpreter(NamedTuple):
    runtime: str
    architecture: str
    path: str


def find() -> Interpreter | None:
    """The one that layers are imported with: a supported runtime, if there is one."""
    return next(found(SUPPORTED), None)


def found(minors: tuple[int, ...] = MINORS) -> Iterator[Interpreter]:
    """One interpreter of each minor version, as far as there are any; those that are named first."""
    named = chosen()
    runtimes = {f"python3.{minor}": minor for minor in minors}
    unnamed = runtimes.keys() - {it.runtime for it in named}
    for runtime, minor in sorted(runtimes.items(), key=lambda it: it[0] in unnamed):
        probed = itertools.chain(named, map(probe, candidates(minor)))
        first = next((it for it in probed if it and it.runtime == runtime), None)
        if first:
            yield first


def chosen() -> list[Interpreter]:
    """The interpreters that `ACCRETION_TEST_PYTHON` names."""
    named = []
    for path in filter(None, os.environ.get("ACCRETION_TEST_PYTHON", "").split(os.pathsep)):
        interpreter = probe(path)
        if interpreter is None:
            sys.exit(f"error: ACCRETION_TEST_PYTHON: {path} is no CPython that layers are built for")
        named.append(interpreter)
    return named


def candidates(minor: int) -> Iterator[str]:
    """Where a CPython 3.`minor` may be: `make interpreters`, PATH, pyenv, uv."""
    yield from installed_by_uv(INSTALLED, minor)
    folders = [it for it in os.environ.get("PATH", "").split(os.pathsep) if it]
    for name in (f"python3.{minor}", "python3"):
        yield from (path for it in folders if os.path.isfile(path := os.path.join(it, name)))
    # Shims on PATH lead to the versions that the user has chosen alone, or nowhere.
    shims = [os.path.dirname(it) for it in folders if os.path.basename(it) == "shims"]
    for root in [os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), *shims]:
        yield from newest_first(rf"3\.{minor}\.(\d+)", os.path.join(root, "versions"), "python")
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    own = os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")
    yield from installed_by_uv(own, minor)


def installed_by_uv(folder: str | Path, minor: int) -> Iterator[str]:
    return newest_first(rf"cpython-3\.{minor}\.(\d+)-linux-.*", folder, f"python3.{minor}")


def newest_first(pattern: str, folder: str | Path, program: str) -> Iterator[str]:
    """The `program` of each installation in a folder; the pattern captures the patch release."""
    installations = [
        (int(match[1]), path)
        for path in glob.glob(os.path.join(glob.escape(str(folder)), "*"))
        if (match := re.fullmatch(pattern, os.path.basename(path)))
    ]
    for _, path in sorted(installations, reverse=True):
        yield os.path.join(path, "bin", program)


@functools.cache
def probe(path: str) -> Interpreter | None:
    """What `path` is. A shim may lead nowhere, so it is asked and not believed."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        minor, machine, libc, implementation, major, base = answer.stdout.rstrip("\n").split("\t")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    fits = (
        major == "3"
        and minor in map(str, MINORS)
        and machine in ARCHITECTURES
        and libc == "glibc"
        and implementation == "CPython"
    )
    itself = base if os.path.isfile(base) else path
    return Interpreter(f"python3.{minor}", ARCHITECTURES[machine], itself) if fits else None


def main() -> None:
    if sys.argv[1:] == ["--all"]:
        lines = list(found())
    else:
        lines = list(filter(None, [find()]))
        if not lines:
            sys.exit("error: no CPython 3.12 to 3.14; hint: make interpreters")
    for interpreter in lines:
        print(*interpreter)


if __name__ == "__main__":
    main()
