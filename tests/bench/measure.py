"""Runs commands and measures what they cost: wall time, CPU time and memory."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path


class CommandFailed(Exception):
    """A measured or preparing command ended with a non-zero status."""

    def __init__(self, argv: list[str], status: int, log: Path) -> None:
        tail = log.read_text(errors="replace").strip().splitlines()[-12:]
        super().__init__(f"`{' '.join(argv)}` ended with status {status}\n  " + "\n  ".join(tail))


@dataclass(frozen=True)
class Step:
    """One command: arguments, folder, and variables on top of the environment."""

    argv: list[str]
    cwd: Path
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """What a run of one or several steps cost: seconds, seconds, bytes."""

    wall: float
    cpu: float
    rss: int


def run(steps: list[Step], env: dict[str, str], log: Path) -> Sample:
    """Runs the steps in order and adds their costs up.

    CPU is user and system time of every process the step waited for, as wait4
    reports it. `rss` is the largest single process of the tree: Linux gives the
    maximum of the child and of the descendants it waited for. A process smaller
    than this harness shows as large as the harness, because a vfork shares its
    memory until exec; nothing big is therefore imported before measuring ends.
    """
    wall = cpu = 0.0
    rss = 0
    for step in steps:
        with log.open("wb") as sink:
            start = time.perf_counter()
            child = _spawn(step, env, sink)
            _, status, usage = os.wait4(child.pid, 0)
            wall += time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise CommandFailed(step.argv, child.returncode, log)
        cpu += usage.ru_utime + usage.ru_stime
        rss = max(rss, usage.ru_maxrss * 1024)
    return Sample(wall, cpu, rss)


def own_peak_rss(step: Step, env: dict[str, str], log: Path) -> int:
    """Peak resident bytes of the step's own process, without its children.

    Reads VmHWM every half millisecond, so it must not be used in a timed run;
    growth in the very last half millisecond goes unseen.
    """
    peak = 0
    with log.open("wb") as sink:
        child = _spawn(step, env, sink)
        status_file = f"/proc/{child.pid}/status"
        while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            with open(status_file) as lines:
                for line in lines:
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]) * 1024)
                        break
            time.sleep(0.0005)
        if child.wait():
            raise CommandFailed(step.argv, child.returncode, log)
    return peak


def _spawn(step: Step, env: dict[str, str], sink) -> subprocess.Popen:
    return subprocess.Popen(
        step.argv,
        cwd=step.cwd,
        env=env | step.env,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
    )
