"""What other readers make of wheels: pip, uv, Python's zipfile, Info-ZIP and bsdtar.

Reads a question as JSON on stdin, `{"uv": PATH, "python": PATH, "wheels": [PATH…]}`, and writes as JSON
on stdout `{"missing": [READER…], "wheels": [{READER: {PATH: [SHA-256, EXECUTABLE]} or a refusal}…]}`.
Every wheel has a folder of its own, in which it is unpacked. Links have a target for a hash, and scripts that are left
at `#!python` have that.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

try:
    from pip._internal.cli.main import main as pip
except ImportError:
    pip = None


def tree(folder):
    """The files of a folder."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder)).encode(errors="surrogateescape").decode(errors="replace")
        if path.is_symlink():
            files[name] = [f"-> {os.readlink(path)}", False]
        elif path.is_file() and name != ".lock":
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if name.startswith("bin/") and content.startswith(b"#!python"):
                digest = "#!python"
            files[name] = [digest, bool(path.stat().st_mode & 0o111)]
    return files


def run(*command, pipe=None):
    """Why a program failed, or nothing. Info-ZIP's 1 is a warning."""
    done = subprocess.run(
        command, input=pipe, stdin=None if pipe else subprocess.DEVNULL, capture_output=True
    )
    if done.returncode == 0 or (command[0] == "unzip" and done.returncode == 1):
        return None
    return (done.stdout + done.stderr).decode(errors="replace").strip()[-300:] or "failed"


def with_pip(wheel, target):
    # Only that this process lives for one wheel lets pip be called twice.
    options = ["--no-deps", "--no-compile", "--no-index", "--disable-pip-version-check", "--quiet"]
    options += ["--no-cache-dir", "--isolated"]
    try:
        code = pip(["install", *options, "--target", str(target), str(wheel)])
    except Exception as error:
        return repr(error)
    return "failed" if code else None


def with_uv(uv, python, wheel, target):
    options = ["--quiet", "--no-config", "--no-cache", "--no-deps", "--offline", "--python", python]
    return run(uv, "pip", "install", *options, "--target", str(target), str(wheel))


def with_zipfile(wheel, target):
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    except Exception as error:
        return repr(error)
    return None


READERS = {
    "pip": lambda question, wheel, target: with_pip(wheel, target),
    "uv": lambda question, wheel, target: with_uv(question["uv"], question["python"], wheel, target),
    "zipfile": lambda question, wheel, target: with_zipfile(wheel, target),
    "unzip": lambda question, wheel, target: run("unzip", "-qq", "-o", str(wheel), "-d", str(target)),
    "bsdtar": lambda question, wheel, target: run("bsdtar", "-xf", str(wheel), "-C", str(target)),
    # Over a pipe it goes from entry to entry and never sees a central directory.
    "bsdtar, pipe": lambda question, wheel, target: run(
        "bsdtar", "-xf", "-", "-C", str(target), pipe=wheel.read_bytes()
    ),
}


def read(task):
    """What each reader makes of one wheel."""
    question, path, names = task
    wheel = Path(path)
    with open(wheel.with_suffix(".log"), "wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    warnings.simplefilter("ignore")
    answer = {}
    for name in names:
        target = wheel.parent / name
        target.mkdir()
        answer[name] = READERS[name](question, wheel, target) or tree(target)
    return answer


def main():
    question = json.load(sys.stdin)
    missing = [name for name in ("unzip", "bsdtar") if not shutil.which(name)]
    if pip is None:
        missing.append("pip")
    names = [name for name in READERS if name.partition(",")[0] not in missing]
    tasks = [(question, path, names) for path in question["wheels"]]
    # A process of its own for each wheel, forked when pip is loaded: pip takes a second for that.
    context = multiprocessing.get_context("fork")
    with context.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        wheels = pool.map(read, tasks, chunksize=1)
    json.dump({"missing": missing, "wheels": wheels}, sys.stdout)


if __name__ == "__main__":
    main()
