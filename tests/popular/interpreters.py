"""Finds a CPython that is a Lambda runtime, to import what a layer holds.

`python tests/popular/interpreters.py` prints the newest one as `RUNTIME ARCHITECTURE PATH`, such as
`python3.13 x86_64 /usr/bin/python3.13`, and exits with 1 if the machine has none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# The runtimes a request gets by default, newest first.
MINORS = (14, 13, 12)
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}

PROBE = (
    "import platform, sys;"
    "print(sys.version_info[1], platform.machine(), platform.libc_ver()[0],"
    " platform.python_implementation(), sys.version_info[0], sep=chr(9))"
)


class Interpreter(NamedTuple):
    runtime: str
    architecture: str
    path: str


def find() -> Interpreter | None:
    """The interpreter that `ACCRETION_TEST_PYTHON` names, or else the newest on this machine."""
    chosen = os.environ.get("ACCRETION_TEST_PYTHON")
    if chosen:
        interpreter = probe(chosen)
        if interpreter is None:
            sys.exit(f"error: ACCRETION_TEST_PYTHON is no Lambda runtime's interpreter: {chosen}")
        return interpreter
    for minor in MINORS:
        for path in candidates(minor):
            interpreter = probe(path)
            if interpreter and interpreter.runtime == f"python3.{minor}":
                return interpreter
    return None


def candidates(minor: int) -> Iterator[str]:
    """Where a CPython 3.`minor` may be: on PATH, then among pyenv's versions, newest first."""
    on_path = shutil.which(f"python3.{minor}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    versions = [
        (int(match[1]), folder)
        for folder in pyenv.glob(f"versions/3.{minor}.*")
        if (match := re.fullmatch(rf"3\.{minor}\.(\d+)", folder.name))
    ]
    for _, folder in sorted(versions, reverse=True):
        yield str(folder / "bin" / "python")


def probe(path: str) -> Interpreter | None:
    """What `path` is. A pyenv shim on PATH may lead nowhere, so it is asked and not believed."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    minor, machine, libc, implementation, major = answer.stdout.rstrip("\n").split("\t")
    fits = (
        int(major) == 3
        and int(minor) in MINORS
        and machine in ARCHITECTURES
        and libc == "glibc"
        and implementation == "CPython"
    )
    return Interpreter(f"python3.{minor}", ARCHITECTURES[machine], path) if fits else None


if __name__ == "__main__":
    found = find()
    if found is None:
        sys.exit("error: no CPython 3.12 to 3.14; hint: set ACCRETION_TEST_PYTHON to one")
    print(*found)
