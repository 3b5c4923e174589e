"""Holds a layer against what `uv pip install --target` makes of the same lock, file by file.

    python tests/popular/verify.py LAYER.zip INSTALLED_FOLDER [--python PYTHON]
        [--distribution NAME]... [--no-dependencies]

Checks, in this order:

archive   the zip is sound, and `unzip` agrees if there is one
form      below python/, sorted bytewise, one time, modes 0644 and 0755, nothing superfluous
files     the same files with the same content and executable bits as in the folder
records   every RECORD line is true, and every file is in the RECORD of who owns it
metadata  `importlib.metadata` sees every distribution once, and their requirements are met
imports   every top-level module of every distribution imports
scripts   every program in python/bin starts

The last three need `--python`, an interpreter that the layer was built for (interpreters.py finds
one); `--distribution` limits imports and scripts to the distributions named. Prints a table, every
problem and a line of JSON; exits with 1 if there was a problem.
"""

from __future__ import annotations

import argparse
import base64
import configparser
import csv
import email.parser
import hashlib
import json
import os
import re
import shlex
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKS = ("archive", "form", "files", "records", "metadata", "imports", "scripts")

# What differs from installer to installer by right, in a distribution's own .dist-info.
INSTALLER_FILES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
# Signatures of the wheel's RECORD, which uv keeps beside its own one.
INSTALLER_FILES |= {"RECORD.jws", "RECORD.p7s"}
# What uv leaves in a target folder for itself.
UV_FILES = {".lock"}

# What some say instead of importing or starting: how it ends, and why that is no problem. Whatever
# else they say is one.
IMPORT_COMPLAINTS = {
    "googleapis-common-protos": ("No module named 'grpc'", "its stubs come with the extra `grpc`"),
}
SCRIPT_COMPLAINTS = {
    "aws_completer": (
        "IndexError: list index out of range",
        "takes its arguments from the shell that asks for completions",
    ),
    "fastapi": ('pip install "fastapi[standard]"', "its code comes with the extra `standard`"),
    "rst2odt_prepstyles.py": (
        ("No such file or directory: '--version'", "No module named 'lxml'"),
        "knows file names only, and docutils does not require its lxml",
    ),
    "pyftmerge": ("UnknownOptionError: Unknown option 'version'", "knows file names only"),
}

TIMEOUT_SECONDS = 120


class Report:
    """What was looked at and what was wrong, by check."""

    def __init__(self) -> None:
        self.looked_at = dict.fromkeys(CHECKS, 0)
        self.seconds = dict.fromkeys(CHECKS, 0.0)
        self.problems: list[tuple[str, str]] = []
        self.excused: list[str] = []
        self.skipped: set[str] = set()

    def seen(self, check: str, count: int = 1) -> None:
        self.looked_at[check] += count

    def problem(self, check: str, text: str) -> None:
        self.problems.append((check, text))

    def print(self, layer: Path) -> None:
        print(f"{'check':<10} {'looked at':>9} {'problems':>8} {'seconds':>8}")
        for check in CHECKS:
            count = sum(1 for problem in self.problems if problem[0] == check)
            outcome = "-" if check in self.skipped else str(count)
            print(
                f"{check:<10} {self.looked_at[check]:>9} {outcome:>8} {self.seconds[check]:>8.1f}"
            )
        for excuse in self.excused:
            print(f"excused: {excuse}")
        for check, text in self.problems:
            print(f"problem: {check}: {text}")
        summary = {
            "layer": layer.name,
            "ok": not self.problems,
            "problems": len(self.problems),
            "excused": len(self.excused),
            "skipped": sorted(self.skipped),
            "looked_at": self.looked_at,
        }
        print(json.dumps(summary))


class Distribution:
    """A distribution of the layer, read from its .dist-info."""

    def __init__(self, root: Path, dist_info: str) -> None:
        self.dist_info = dist_info
        folder = root / dist_info
        metadata = (folder / "METADATA").read_bytes()
        headers = email.parser.BytesHeaderParser().parsebytes(metadata)
        self.name = canonicalize_name(headers["Name"])
        self.version = headers["Version"]
        self.requirements = [Requirement(line) for line in headers.get_all("Requires-Dist") or ()]
        self.record = read_record(folder / "RECORD")
        self.scripts = read_scripts(folder / "entry_points.txt")

    def modules(self, root: Path) -> list[str]:
        """The modules it brings that nothing above them brings, such as `zope.interface`."""
        files = [PurePosixPath(row[0]) for row in self.record]
        packages = {path.parent for path in files if path.name == "__init__.py"}
        modules = set()
        for path in files:
            name = module_name(path.name)
            folders = path.parts[:-1]
            if name is None or not all(part.isidentifier() for part in folders):
                continue
            if folders[:1] in (("bin",), ("include",), ("share",)):
                continue
            parents = [PurePosixPath(*folders[:n]) for n in range(1, len(folders) + 1)]
            package = next((parent for parent in parents if parent in packages), None)
            if package:
                modules.add(".".join(package.parts))
            elif not any((root / parent / "__init__.py").exists() for parent in parents):
                # In namespace packages only, so nothing imports it on the way.
                modules.add(".".join((*folders, name)))
        return sorted(modules)


def module_name(file: str) -> str | None:
    """`six` for `six.py`, `_yaml` for `_yaml.cpython-313-x86_64-linux-gnu.so`, else nothing."""
    match = re.fullmatch(r"(\w+)(\.py|(\.[\w-]+)?\.so)", file)
    return match[1] if match and match[1].isidentifier() else None


def read_record(path: Path) -> list[tuple[str, str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row[0], row[1], row[2]) for row in csv.reader(file) if row]


def read_scripts(path: Path) -> dict[str, str]:
    """The programs that entry points ask for, with the objects they name."""
    if not path.exists():
        return {}
    entry_points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    entry_points.optionxform = str  # type: ignore[assignment]
    entry_points.read_string(path.read_text(encoding="utf-8"))
    sections = ("console_scripts", "gui_scripts")
    return {
        name: target.split("[")[0].strip()
        for section in sections
        if entry_points.has_section(section)
        for name, target in entry_points.items(section)
    }


def check_archive(layer: Path, report: Report) -> None:
    try:
        with zipfile.ZipFile(layer) as archive:
            report.seen("archive", len(archive.infolist()))
            bad = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        bad = str(error)
    if bad:
        report.problem("archive", f"{bad}: does not unpack")
    unzip = shutil.which("unzip")
    if unzip:
        test = subprocess.run([unzip, "-tqq", str(layer)], capture_output=True, text=True)
        if test.returncode:
            report.problem("archive", f"unzip -t: {(test.stdout + test.stderr).strip()}")


def check_form(layer: Path, report: Report) -> None:
    def wrong(info: zipfile.ZipInfo, text: str) -> None:
        report.problem("form", f"{info.filename}: {text}")

    with zipfile.ZipFile(layer) as archive, layer.open("rb") as raw:
        infos = archive.infolist()
        report.seen("form", len(infos))
        if archive.comment:
            report.problem("form", "the archive has a comment")
        names = [info.filename.encode() for info in infos]
        for earlier, later in zip(names, names[1:]):
            if earlier >= later:
                report.problem("form", f"{later.decode()}: not after {earlier.decode()}")
        end = 0
        for info in infos:
            path = PurePosixPath(info.filename)
            if path.parts[:1] != ("python",) or len(path.parts) < 2:
                wrong(info, "not below python/")
            if ".." in path.parts or "\\" in info.filename or str(path) != info.filename:
                wrong(info, "not a plain relative path")
            mode = info.external_attr >> 16
            if mode not in (0o100644, 0o100755) or info.external_attr & 0xFFFF:
                wrong(info, f"attributes {info.external_attr:#010x}, mode {mode:o}")
            if info.create_system != 3:
                wrong(info, f"made on system {info.create_system}, not Unix")
            if info.date_time != (1980, 1, 1, 0, 0, 0):
                wrong(info, f"time {info.date_time}")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                wrong(info, f"compression method {info.compress_type}")
            if info.flag_bits != (0 if info.filename.isascii() else 0x800):
                wrong(info, f"flags {info.flag_bits:#06x}")
            if info.comment:
                wrong(info, "has a comment")
            raw.seek(info.header_offset)
            header = struct.unpack("<4s5H3L2H", raw.read(30))
            name_length, extra_length = header[9:]
            if info.extra or extra_length:
                wrong(info, "has an extra field")
            if header[2] != info.flag_bits or header[3] != info.compress_type:
                wrong(info, "its headers differ")
            if info.header_offset != end:
                wrong(info, f"starts at {info.header_offset}, the one before ends at {end}")
            end = info.header_offset + 30 + name_length + extra_length + info.compress_size
        if archive.start_dir != end:
            report.problem("form", f"the directory starts at {archive.start_dir}, not {end}")


def unpack(layer: Path, folder: Path) -> Path:
    """Unpacks with modes, and gives the folder that Lambda puts on sys.path."""
    with zipfile.ZipFile(layer) as archive:
        for info in archive.infolist():
            path = archive.extract(info, folder)
            # Readable whatever the layer says: its modes are check_form's business.
            os.chmod(path, (info.external_attr >> 16) & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
    root = folder / "python"
    root.mkdir(exist_ok=True)
    return root


def file_list(root: Path) -> dict[str, Path]:
    return {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o111)


def belongs_to_installer(path: str) -> bool:
    folder, _, name = path.partition("/")
    return folder.endswith(".dist-info") and name in INSTALLER_FILES or path in UV_FILES


def check_files(
    root: Path, installed: Path, distributions: list[Distribution], report: Report
) -> None:
    ours, theirs = file_list(root), file_list(installed)
    generated = {
        f"bin/{name}": target
        for distribution in distributions
        for name, target in distribution.scripts.items()
    }
    for path in sorted(ours.keys() | theirs.keys()):
        if belongs_to_installer(path):
            continue
        report.seen("files")
        if path not in ours:
            report.problem("files", f"{path}: missing in the layer")
            continue
        if path not in theirs:
            report.problem("files", f"{path}: not installed by uv")
            continue
        if is_executable(ours[path]) != is_executable(theirs[path]):
            says = "is" if is_executable(ours[path]) else "is not"
            report.problem("files", f"{path}: {says} executable in the layer, unlike uv's")
        mine, other = ours[path].read_bytes(), theirs[path].read_bytes()
        if path in generated:
            check_generated(path, generated[path], mine, report)
        elif mine != other and not (path.startswith("bin/") and is_rewritten(mine, other)):
            report.problem("files", f"{path}: content differs from uv's")


def check_generated(path: str, target: str, script: bytes, report: Report) -> None:
    if not is_path_independent(script):
        report.problem("files", f"{path}: starts an interpreter at one path")
    module, _, attribute = target.partition(":")
    for part in (module, attribute):
        if part.strip().encode() not in script:
            report.problem("files", f"{path}: does not name {part.strip()}")


def is_path_independent(script: bytes) -> bool:
    return script.startswith((b"#!/usr/bin/env ", b"#!/bin/sh\n"))


def is_rewritten(mine: bytes, other: bytes) -> bool:
    return is_path_independent(mine) and without_shebang(mine) == without_shebang(other)


def without_shebang(script: bytes) -> bytes | None:
    """What follows the line, or the shell's three lines, that start the interpreter."""
    match = re.match(rb"#!/bin/sh\n'''exec' [^\n]*\n' '''|#![^\n]*", script)
    return script[match.end() :] if match else None


def check_records(
    root: Path, installed: Path, distributions: list[Distribution], report: Report
) -> None:
    files = file_list(root)
    owners: dict[str, list[str]] = {path: [] for path in files}
    for distribution in distributions:
        own = f"{distribution.dist_info}/RECORD"
        seen = set()
        for path, digest, size in distribution.record:
            report.seen("records")
            if path in seen:
                report.problem("records", f"{own}: {path}: listed twice")
            seen.add(path)
            if path not in files:
                report.problem("records", f"{own}: {path}: not in the layer")
                continue
            owners[path].append(own)
            if path == own:
                if digest or size:
                    report.problem("records", f"{own}: has a digest of itself")
                continue
            content = files[path].read_bytes()
            if digest != "sha256=" + urlsafe_sha256(content):
                report.problem("records", f"{own}: {path}: digest {digest or 'missing'} is wrong")
            if size != str(len(content)):
                report.problem("records", f"{own}: {path}: size {size or 'missing'} is wrong")
        if f"{distribution.dist_info}/INSTALLER" not in seen:
            report.problem("records", f"{own}: no INSTALLER")
        theirs = installed / own
        if theirs.exists():
            # uv's lists scripts of the wheel in whose place it has generated others, and `./` as it was.
            listed = {os.path.normpath(row[0]) for row in read_record(theirs)}
            expected = {path for path in listed if (installed / path).exists()}
            for path in sorted(seen ^ expected):
                if not belongs_to_installer(path):
                    whose = "the layer" if path in seen else "uv"
                    report.problem("records", f"{own}: {path}: listed by {whose} only")
    for path, records in owners.items():
        if not records:
            report.problem("records", f"{path}: in no RECORD")


def urlsafe_sha256(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


class Sandbox:
    """Runs the layer's code as Lambda would: its folder on sys.path, no site-packages."""

    # -S no site-packages, -s no user's either, -P no current folder, -B leave no .pyc behind.
    FLAGS = ("-S", "-s", "-P", "-B")

    def __init__(self, python: str, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.programs = folder / "programs"
        self.programs.mkdir()
        wrapper = self.programs / "python3"
        flags = " ".join(self.FLAGS)
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} {flags} "$@"\n')
        wrapper.chmod(0o755)
        (self.programs / "python").symlink_to("python3")
        self.python = str(wrapper)

    def run(self, command: list[str], timeout: int) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory(dir=self.folder) as home:
            environment = {
                "PATH": f"{self.programs}:/usr/bin:/bin",
                "PYTHONPATH": str(self.root),
                "HOME": home,
                "TMPDIR": home,
                "LANG": "C.UTF-8",
                "TERM": "dumb",
                "PAGER": "cat",
            }
            return subprocess.run(
                command,
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout,
            )

    def ask(self, program: str, *arguments: str) -> object:
        """Runs a program that prints JSON last. What else it prints is of no interest."""
        answer = self.run([self.python, "-c", program, *arguments], TIMEOUT_SECONDS)
        last = answer.stdout.rstrip().rpartition("\n")[2]
        try:
            return json.loads(last)
        except ValueError:
            raise RuntimeError(f"exit code {answer.returncode}: {last}") from None


METADATA_PROGRAM = """
import importlib.metadata, json, os, platform, sys
version = platform.python_version()
print(json.dumps({
    "distributions": [[d.name, d.version] for d in importlib.metadata.distributions()],
    "environment": {
        "implementation_name": sys.implementation.name,
        "implementation_version": version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": version,
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    },
}))
"""

# Leaves without the interpreter's shutdown: threads that a module started are not the question.
IMPORT_PROGRAM = """
import importlib, json, os, sys
root, failures = sys.argv[1], {}
for name in sys.argv[2:]:
    try:
        module = importlib.import_module(name)
        file = getattr(module, "__file__", None)
        if file and not file.startswith(root + os.sep):
            failures[name] = "imported from " + file
    except BaseException as error:
        failures[name] = type(error).__name__ + ": " + str(error)
print("\\n" + json.dumps(failures), flush=True)
os._exit(0)
"""


def check_metadata(
    sandbox: Sandbox, distributions: list[Distribution], dependencies: bool, report: Report
) -> None:
    answer = sandbox.ask(METADATA_PROGRAM)
    found = sorted((canonicalize_name(name), version) for name, version in answer["distributions"])
    expected = sorted((each.name, each.version) for each in distributions)
    report.seen("metadata", len(found))
    if found != expected:
        report.problem("metadata", f"importlib.metadata sees {found}, not {expected}")
    if not dependencies:
        return
    versions = dict(expected)
    environment = dict(answer["environment"], extra="")
    for distribution in distributions:
        for requirement in distribution.requirements:
            if requirement.marker and not requirement.marker.evaluate(environment):
                continue
            version = versions.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                report.problem(
                    "metadata", f"{distribution.name} needs {requirement}, there is {version}"
                )


def check_imports(sandbox: Sandbox, distributions: list[Distribution], report: Report) -> None:
    def failures(distribution: Distribution) -> tuple[Distribution, list[str], dict[str, str]]:
        modules = distribution.modules(sandbox.root)
        try:
            return distribution, modules, sandbox.ask(IMPORT_PROGRAM, str(sandbox.root), *modules)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return distribution, modules, {"everything": str(error)}

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for distribution, modules, failed in pool.map(failures, distributions):
            report.seen("imports", len(modules))
            if not modules:
                report.problem("imports", f"{distribution.name}: brings no module")
            complaint, reason = IMPORT_COMPLAINTS.get(distribution.name, (None, None))
            for module, error in failed.items():
                if complaint and error.endswith(complaint):
                    report.excused.append(f"imports: {module}: {reason}")
                else:
                    report.problem("imports", f"{distribution.name}: {module}: {error}")


def check_scripts(sandbox: Sandbox, distributions: list[Distribution], report: Report) -> None:
    programs = []
    for distribution in distributions:
        for path, *_ in distribution.record:
            file = sandbox.root / path
            # What has neither is to be sourced by a shell, or for Windows.
            if path.startswith("bin/") and file.read_bytes().startswith((b"#!", b"\x7fELF")):
                programs.append(file)

    def failure(program: Path) -> str | None:
        problem = why_not_started(sandbox, program, "--help")
        return problem and why_not_started(sandbox, program, "--version")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, problem in zip(programs, pool.map(failure, programs)):
            report.seen("scripts")
            complaint, reason = SCRIPT_COMPLAINTS.get(program.name, (None, None))
            if problem and complaint and problem.endswith(complaint):
                report.excused.append(f"scripts: bin/{program.name}: {reason}")
            elif problem:
                report.problem("scripts", f"bin/{program.name}: {problem}")


def why_not_started(sandbox: Sandbox, program: Path, option: str) -> str | None:
    """A program that refuses the option has started all the same; one with a traceback has not."""
    try:
        run = sandbox.run([str(program), option], TIMEOUT_SECONDS)
    except OSError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return f"{option}: no end after {TIMEOUT_SECONDS} s"
    last = run.stdout.rstrip().rpartition("\n")[2]
    if run.returncode < 0:
        return f"{option}: signal {-run.returncode}: {last}"
    broken = run.returncode in (126, 127) or "Traceback (most recent call last)" in run.stdout
    return f"{option}: exit code {run.returncode}: {last}" if broken else None


def verify(arguments: argparse.Namespace) -> Report:
    report = Report()

    def timed(check: str, function, *parameters) -> None:
        start = time.monotonic()
        function(*parameters, report)
        report.seconds[check] = time.monotonic() - start

    timed("archive", check_archive, arguments.layer)
    if report.problems:
        report.skipped.update(CHECKS[1:])
        return report
    timed("form", check_form, arguments.layer)
    with tempfile.TemporaryDirectory(prefix="accretion-verify-") as folder:
        root = unpack(arguments.layer, Path(folder).resolve() / "layer")
        names = sorted(path.name for path in root.glob("*.dist-info"))
        try:
            distributions = [Distribution(root, name) for name in names]
        except (OSError, ValueError) as error:
            report.problem("records", f"a .dist-info cannot be read: {error}")
            report.skipped.update(CHECKS[2:])
            return report
        timed("files", check_files, root, arguments.installed, distributions)
        timed("records", check_records, root, arguments.installed, distributions)
        if not arguments.python:
            report.skipped.update(("metadata", "imports", "scripts"))
            return report
        sandbox = Sandbox(arguments.python, root, Path(folder).resolve())
        timed("metadata", check_metadata, sandbox, distributions, arguments.dependencies)
        chosen = {canonicalize_name(name) for name in arguments.distribution}
        for name in sorted(chosen - {each.name for each in distributions}):
            report.problem("metadata", f"{name}: not in the layer")
        if chosen:
            distributions = [each for each in distributions if each.name in chosen]
        timed("imports", check_imports, sandbox, distributions)
        timed("scripts", check_scripts, sandbox, distributions)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("layer", type=Path, help="the layer, a zip")
    parser.add_argument("installed", type=Path, help="the folder uv installed into")
    parser.add_argument("--python", help="an interpreter that the layer was built for")
    parser.add_argument(
        "--distribution",
        action="append",
        default=[],
        metavar="NAME",
        help="import and start only what these bring",
    )
    parser.add_argument(
        "--no-dependencies",
        dest="dependencies",
        action="store_false",
        help="the layer need not hold what its distributions require",
    )
    arguments = parser.parse_args()
    report = verify(arguments)
    report.print(arguments.layer)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
