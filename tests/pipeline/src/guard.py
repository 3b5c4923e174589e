"""Runs a command in a session of its own, and ends all of it when standard input closes.

    guard.py FOLDER LOG COMMAND [ARGUMENT …]

The caller holds the other end of standard input: it closes however the caller ends, even by
SIGKILL. What runs by then is killed, not asked, since nothing of it is worth keeping, and FOLDER is
removed. LOG takes what the command writes.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import time


def main() -> int:
    folder, log, *command = sys.argv[1:]
    # From a terminal they reach the caller too, which knows what is left to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while process.poll() is None:
            if select.select([0], [], [], 0.1)[0]:
                return 0
        return process.returncode
    finally:
        end_session(process.pid)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def end_session(session: int) -> None:
    """Kills every process of a session: a process group would miss those that left theirs."""
    while members := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                      if session_of(pid) == session]:
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


def session_of(pid: int) -> int | None:
    """The session that a process belongs to; None if it is gone or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            # The name before it may hold anything, parentheses too.
            state, _parent, _group, session = stat.read().rpartition(")")[2].split()[:4]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(session)


if __name__ == "__main__":
    sys.exit(main())
