"""The work folder: locked sets, wheels, caches, and the tools of this machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from measure import Step, run

sys.path.append(str(Path(__file__).resolve().parents[1] / "locks"))

import tools  # noqa: E402
from targets import Target, interpreters  # noqa: E402

SETS = {
    "S": ["requests", "pyyaml", "jinja2"],
    "M": ["numpy", "pandas", "requests", "pydantic", "cryptography"],
    "L": ["numpy", "scipy", "pandas", "scikit-learn"],
}

# Settings of the user that would change what is measured.
UNWANTED = [
    "PIP_FIND_LINKS", "PIP_NO_CACHE_DIR", "PIP_TARGET", "PIP_CONSTRAINT", "PIP_NO_COMPILE",
    "UV_COMPILE_BYTECODE", "UV_CONSTRAINT", "UV_EXCLUDE_NEWER", "UV_FIND_LINKS", "UV_LINK_MODE",
    "UV_NO_CACHE", "UV_OFFLINE", "UV_OVERRIDE", "UV_RESOLUTION", "VIRTUAL_ENV", "ZIPOPT",
]  # fmt: skip


class Pdm(tools.Pdm):
    """pdm for the one Python of the sets."""

    ranges = (">=3.12,<3.13",)


LOCKERS = [tools.Uv, tools.Poetry, tools.Pipenv, Pdm]
LOCK_NAMES = [locker.lock_name for locker in LOCKERS]


@dataclass(frozen=True)
class PackageSet:
    """One set of packages, as names and locked in both formats."""

    key: str
    folder: Path
    wheels: Path

    @property
    def requirements(self) -> Path:
        """The names alone, to be resolved."""
        return self.folder / "requirements.txt"

    @property
    def locked(self) -> Path:
        """Every version with its hashes, for pip, uv and sam."""
        return self.folder / "locked.txt"

    @property
    def pylock(self) -> Path:
        """The same versions as PEP 751."""
        return self.folder / "pylock.toml"

    @property
    def locks(self) -> Path:
        """The folder of the same versions as lock files of tools."""
        return self.folder / "tools"

    def versions(self) -> list[str]:
        """`name==version` of every locked package."""
        lines = self.locked.read_text().splitlines()
        return [
            line.split()[0] for line in lines if "==" in line and not line.startswith((" ", "#"))
        ]


class Workspace:
    """Where everything lives: one folder, and so one file system, for all contenders."""

    def __init__(self, root: Path, accretion: Path) -> None:
        self.root = root
        self.accretion = accretion
        self.bin = Path(sys.executable).parent
        self.uv = self.bin / "uv"
        self.sam = self.bin / "sam"
        self.log = root / "last.log"
        for name in ("tmp", "run", "cache"):
            (root / name).mkdir(parents=True, exist_ok=True)
        cache = root / "cache"
        self.env = {k: v for k, v in os.environ.items() if k not in UNWANTED} | {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(root / "tmp"),
            "PIP_CACHE_DIR": str(cache / "pip"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "UV_CACHE_DIR": str(cache / "uv"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_CONFIG": "1",
            "XDG_CACHE_HOME": str(cache / "xdg"),
            "ACCRETION_CACHE_DIR": str(cache / "accretion"),
            "ACCRETION_UV": str(self.uv),
            "SAM_CLI_TELEMETRY": "0",
        }
        self.python312 = self._python312()

    def call(self, *argv: object, cwd: Path | None = None) -> None:
        """Runs a preparing command; its output is shown only if it fails."""
        run([Step([str(a) for a in argv], cwd or self.root)], self.env, self.log)

    def output(self, *argv: object) -> str:
        """First line a command prints, or a dash if it cannot be run."""
        try:
            done = subprocess.run(
                [str(a) for a in argv], env=self.env, capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return "–"
        return (done.stdout or done.stderr).strip().splitlines()[0]

    def uv_target(self) -> list[str]:
        """Options that make uv resolve and install for the target."""
        return [
            "--quiet", "--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_34",
            "--only-binary", ":all:", "--python", str(self.python312 or sys.executable),
        ]  # fmt: skip

    def pip(self) -> list[str]:
        """The pinned pip, run by the target's own interpreter where there is one."""
        return [str(self.python312 or sys.executable), "-m", "pip"]

    def pip_target(self) -> list[str]:
        """Options that make pip take the target's wheels."""
        options = ["--quiet", "--only-binary", ":all:", "--no-deps", "--require-hashes"]
        if self.python312 is None:
            options += ["--python-version", "3.12", "--implementation", "cp"]
            options += [o for abi in ("cp312", "abi3", "none") for o in ("--abi", abi)]
            glibc = [f"manylinux_2_{minor}_x86_64" for minor in range(34, 16, -1)]
            options += [o for tag in [*glibc, "manylinux2014_x86_64"] for o in ("--platform", tag)]
        return options

    def lock(self, key: str) -> PackageSet:
        """Resolves a set once, writes it in every form and fetches its wheels."""
        chosen = PackageSet(key, self.root / "locks" / key, self.root / "wheels" / key)
        chosen.folder.mkdir(parents=True, exist_ok=True)
        chosen.requirements.write_text("".join(f"{name}\n" for name in SETS[key]))
        for stale in (chosen.locked, chosen.pylock):
            stale.unlink(missing_ok=True)
        compile_ = [self.uv, "pip", "compile", *self.uv_target(), "--generate-hashes",
                    "--no-header", "--no-annotate"]  # fmt: skip
        self.call(*compile_, "-o", chosen.locked, chosen.requirements)
        self.call(*compile_, "-c", chosen.locked, "-o", chosen.pylock, chosen.requirements)
        if self.python312:
            self.lock_with_tools(chosen)
        shutil.rmtree(chosen.wheels, ignore_errors=True)
        self.call(*self.pip(), "download", *self.pip_target(), "-d", chosen.wheels,
                  "-r", chosen.locked)  # fmt: skip
        return chosen

    def lock_with_tools(self, chosen: PackageSet) -> None:
        """Has each tool lock the versions of a set, with all files that there are of each."""
        folder = empty(chosen.locks)
        pins = chosen.versions()
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "bench"\nversion = "1.0.0"\nrequires-python = ">=3.12,<3.13"\n'
            f"dependencies = {json.dumps(pins)}\n"
        )
        pinned = "".join(f'"{n}" = "=={v}"\n' for n, v in (pin.split("==") for pin in pins))
        (folder / "Pipfile").write_text(f"[packages]\n{pinned}")
        # What pip and uv are held to on behalf of the sets is not for the tools.
        target = Target("python3.12", "x86_64", self.root / "python3.12", None)
        for locker in LOCKERS:
            locker(self.root / "cache").lock(folder, target)

    def quickest_sha256(self, sample: Path) -> tuple[str, list[str]]:
        """The implementation that hashes `sample` with the least CPU, and its command."""
        hashlib = ("import hashlib, sys; f = open(sys.argv[1], 'rb'); "
                   "print(hashlib.file_digest(f, 'sha256').hexdigest())")  # fmt: skip
        choices = {
            "sha256sum": ["sha256sum"],
            "openssl dgst -sha256": ["openssl", "dgst", "-sha256"],
            "Python hashlib": [sys.executable, "-c", hashlib],
        }
        costs = {}
        for name, argv in choices.items():
            if shutil.which(argv[0]):
                step = Step([*argv, str(sample)], self.root)
                costs[name] = min(run([step], self.env, self.log).cpu for _ in range(3))
        best = min(costs, key=costs.__getitem__)
        return best, choices[best]

    def machine(self) -> dict[str, str]:
        """What the numbers were measured on and with."""
        cpu = _field("/proc/cpuinfo", "model name") or platform.processor()
        memory = int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0])
        return {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "CPU": f"{cpu}, {len(os.sched_getaffinity(0))} cores",
            "memory": f"{memory / 1024**2:.0f} GiB",
            "kernel": f"{platform.system()} {platform.release()}",
            "file system": _file_system(self.root),
            "Python": f"{platform.python_version()} (harness, uv, sam), "
            + (
                self.output(self.python312, "-V").removeprefix("Python ")
                if self.python312
                else "no 3.12"
            )
            + " (pip, sam's builds)",
            "accretion": self.output(self.accretion, "--version"),
            "uv": self.output(self.uv, "--version"),
            "pip": " ".join(self.output(*self.pip(), "--version").split()[:2]),
            "sam": self.output(self.sam, "--version"),
            "zip": _first_with(self.output_all("zip", "-v"), "This is Zip"),
            "cat": self.output("cat", "--version"),
        }

    def output_all(self, *argv: str) -> str:
        """Everything a command prints, or nothing if it cannot be run."""
        try:
            return subprocess.run(argv, env=self.env, capture_output=True, text=True).stdout
        except OSError:
            return ""

    def _python312(self) -> Path | None:
        """A python3.12 with the pinned pip, made from that of this machine."""
        interpreter = next(interpreters.found((12,)), None)
        if interpreter is None:
            return None
        venv = self.root / "python3.12"
        pip = self.output(sys.executable, "-c", "import pip; print(pip.__version__)")
        self.call(self.uv, "venv", "--quiet", "--clear", "--python", interpreter.path, venv)
        self.call(self.uv, "pip", "install", "--quiet", "--python", venv, f"pip=={pip}")
        return venv / "bin" / "python3.12"


def empty(folder: Path) -> Path:
    """Removes a folder with all it holds and makes it again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _field(file: str, name: str) -> str | None:
    try:
        for line in Path(file).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return None


def _first_with(text: str, needle: str) -> str:
    return next((line.split(",")[0].strip() for line in text.splitlines() if needle in line), "–")


def _file_system(folder: Path) -> str:
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, fs = line.split()[:3]
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, fs
    return kind
