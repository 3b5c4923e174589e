"""The tools whose lock files are tried: how each makes one, and what it would install from it."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from targets import Target

HERE = Path(__file__).resolve().parent
PROJECTS = HERE / "projects"
ROOT = HERE.parents[1]
TOOLS = ROOT / ".tools"
PINS = ROOT / "tests" / "tools"

# Settings of the user, and of what started the tests, that would change what a tool does.
UNWANTED = re.compile(
    r"POETRY|PDM|PIPENV|VIRTUAL_ENV|PYTHONPATH|PYTHONHOME"
    r"|UV_(PYTHON|PROJECT|FROZEN|LOCKED|NO_DEV|DEV|EXCLUDE)"
)


class Failed(Exception):
    """A tool failed; the text is what it was told and what it printed."""


@dataclass(frozen=True)
class Selection:
    """What is asked for beside what a project always needs."""

    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = [f"group {group}" for group in self.groups]
        named += [f"extra {extra}" for extra in self.extras]
        return ", ".join(named) or "the default"


class Tool:
    """A tool of which there is a lock file."""

    name: str
    lock_name: str
    program: Path
    project_names: tuple[str, ...] = ("pyproject.toml", "src")
    """What a project consists of for it."""
    pins: tuple[str, ...] = ("lockers.txt",)
    """Where its version is pinned, in tests/tools."""
    is_locked = True
    """Whether the versions stay the same from one day to the next."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache / self.name
        self.environment = {
            name: value for name, value in os.environ.items() if not UNWANTED.match(name)
        } | {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1", "COLUMNS": "200"}

    def locked(self, project: str, target: Target, replaced: dict[str, str]) -> Path:
        """The lock file of a project, made if it was not made before by this version of the tool.

        `replaced` says what words of the project's definition stand for.
        """
        classes = [it for it in type(self).__mro__ if issubclass(it, Tool) and it is not Tool]
        key = hashlib.sha256("".join(map(inspect.getsource, classes)).encode())
        for pins in self.pins:
            key.update((PINS / pins).read_bytes())
        files = [
            file
            for name in self.project_names
            for found in [PROJECTS / project / name]
            for file in sorted([found, *found.rglob("*")])
            if file.is_file()
        ]
        for file in files:
            key.update(f"{file.relative_to(PROJECTS)}\n".encode() + file.read_bytes())
        folder = self.cache / f"{project}-{key.hexdigest()[:16]}"
        if not folder.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.cache) as made:
                # The name of the folder is that of the project for some.
                making = Path(made) / project
                for file in files:
                    copied = making / file.relative_to(PROJECTS / project)
                    copied.parent.mkdir(parents=True, exist_ok=True)
                    text = file.read_text()
                    for word, meaning in replaced.items():
                        text = text.replace(word, meaning)
                    copied.write_text(text)
                self.lock(making, target)
                making.rename(folder)
        return folder / self.lock_name

    def answer(self, folder: Path, target: Target, selection: Selection) -> dict[str, str]:
        """What `installs` says, asked once: neither the lock file nor the tool changes."""
        if not self.is_locked:
            return self.installs(folder, target, selection)
        kept = folder / f"{target}, {selection}.json"
        if not kept.exists():
            found = self.installs(folder, target, selection)
            with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as answer:
                json.dump(found, answer)
            Path(answer.name).rename(kept)
        return json.loads(kept.read_text())

    def lock(self, folder: Path, target: Target) -> None:
        """Makes the lock file of the project in a folder."""
        raise NotImplementedError

    def installs(self, folder: Path, target: Target, selection: Selection) -> dict[str, str]:
        """Name and version of all that the tool would install, by what it says itself."""
        raise NotImplementedError

    def call(self, *command: object, folder: Path, **environment: object) -> str:
        """What a command prints to standard output."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=self.environment | {name: str(value) for name, value in environment.items()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise Failed(f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return done.stdout


class Uv(Tool):
    name = "uv"
    lock_name = "uv.lock"
    pins = ("requirements.txt",)
    program = TOOLS / "venv" / "bin" / "uv"

    def lock(self, folder: Path, target: Target) -> None:
        self.uv("lock", "--python", target.python, folder=folder)

    def installs(self, folder: Path, target: Target, selection: Selection) -> dict[str, str]:
        options = ["--no-default-groups", "--no-install-project"]
        options += [f"--group={group}" for group in selection.groups]
        options += [f"--extra={extra}" for extra in selection.extras]
        return self.would_sync(folder, target, *options)

    def would_sync(self, folder: Path, target: Target, *options: str) -> dict[str, str]:
        said = self.uv(
            "sync", "--dry-run", "--output-format", "json", "--frozen", *options,
            "--python", target.python, folder=folder,
        )  # fmt: skip
        changes = json.loads(said)["sync"]["changes"]
        assert all(change["action"] == "installed" for change in changes), changes
        return distributions((change["name"], change["version"]) for change in changes)

    def uv(self, *words: object, folder: Path) -> str:
        """uv with a cache of its own, and without what a user has configured."""
        return self.call(
            self.program, "--quiet", "--no-config", *words, folder=folder,
            UV_CACHE_DIR=self.cache / "cache",
        )  # fmt: skip


class UvScript(Uv):
    """Scripts with inline metadata (PEP 723), which uv locks, too."""

    name = "uv-script"
    lock_name = "report.py.lock"
    project_names = ("report.py",)

    def lock(self, folder: Path, target: Target) -> None:
        self.uv("lock", "--script", "report.py", "--python", target.python, folder=folder)

    def installs(self, folder: Path, target: Target, selection: Selection) -> dict[str, str]:
        return self.would_sync(folder, target, "--script", "report.py")


class Script(Uv):
    """The same script without its lock file: what is found on the day."""

    name = "script"
    lock_name = "report.py"
    project_names = ("report.py",)
    is_locked = False

    def lock(self, folder: Path, target: Target) -> None:
        pass

    def installs(self, folder: Path, target: Target, selection: Selection) -> dict[str, str]:
        said = self.uv(
            "pip", "compile", "--no-header", "--no-annotate", "--python", target.python,
            "report.py", folder=folder,
        )  # fmt: skip
        return distributions(line.split("==") for line in said.splitlines())


class Poetry(Tool):
    name = "poetry"
    lock_name = "poetry.lock"
    program = TOOLS / "lockers" / "bin" / "poetry"

    def lock(self, folder: Path, target: Target) -> None:
        self.poetry("lock", folder=folder, target=target)

    def installs(self, folder: Path, target: Target, selection: Selection) -> dict[str, str]:
        options = ["--dry-run", "--no-root", f"--only={','.join(['main', *selection.groups])}"]
        options += [f"--extras={extra}" for extra in selection.extras]
        said = self.poetry("install", *options, folder=folder, target=target)
        lines = re.findall(r"^ +[-•] Installing (\S+) \(([^ )]+)\)(.*)$", said, re.MULTILINE)
        found = distributions((name, version) for name, version, note in lines if not note)
        [count] = re.findall(r"^Package operations: (\d+) installs?, 0 updates", said, re.MULTILINE)
        assert len(found) == int(count), said
        return found

    def poetry(self, command: str, *options: str, folder: Path, target: Target) -> str:
        return self.call(
            self.program, command, "--no-interaction", "--no-ansi", *options, folder=folder,
            VIRTUAL_ENV=target.environment,
            POETRY_CACHE_DIR=self.cache / "cache",
            POETRY_CONFIG_DIR=self.cache / "configuration",
            POETRY_PYPI_MIRROR_URL=index_url(),
            PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring",
        )  # fmt: skip


class Poetry1(Poetry):
    """Before version 2, with other lock files."""

    name = "poetry1"
    pins = ("poetry1.txt",)
    program = TOOLS / "poetry1" / "bin" / "poetry"


class Pipenv(Tool):
    name = "pipenv"
    lock_name = "Pipfile.lock"
    project_names = ("Pipfile",)
    program = TOOLS / "lockers" / "bin" / "pipenv"

    def lock(self, folder: Path, target: Target) -> None:
        self.pipenv("lock", folder=folder, target=target)

    def installs(self, folder: Path, target: Target, selection: Selection) -> dict[str, str]:
        assert not selection.extras, "pipenv has none"
        found = {}
        # Each category is one run of pip, whose report would replace the last one.
        names = {"develop": "dev-packages"}
        for category in ["packages", *(names.get(it, it) for it in selection.groups)]:
            with tempfile.NamedTemporaryFile(suffix=".json") as report:
                options = ["--categories", category]
                self.pipenv(
                    "sync", *options, folder=folder, target=target,
                    PIP_DRY_RUN=1, PIP_REPORT=report.name, PIP_IGNORE_INSTALLED=1,
                )  # fmt: skip
                installed = json.load(report)["install"]
            metadata = [install["metadata"] for install in installed]
            found |= distributions((it["name"], it["version"]) for it in metadata)
        return found

    def pipenv(
        self, command: str, *options: str, folder: Path, target: Target, **environment: object
    ) -> str:
        return self.call(
            self.program, command, *options, folder=folder,
            VIRTUAL_ENV=target.environment,
            PIPENV_VERBOSITY=-1,
            PIPENV_CACHE_DIR=self.cache / "cache",
            PIP_CACHE_DIR=self.cache / "cache",
            **environment,
        )  # fmt: skip


class Pdm(Tool):
    name = "pdm"
    lock_name = "pdm.lock"
    program = TOOLS / "lockers" / "bin" / "pdm"
    # pdm resolves a fork only for targets on one side of it.
    ranges = (">=3.11,<3.13", ">=3.13,<3.15")
    platforms: tuple[str, ...] = ()

    def lock(self, folder: Path, target: Target) -> None:
        platforms = [[f"--platform={it}"] for it in self.platforms] or [[]]
        locked_for = [
            [f"--python={python}", *platform] for python in self.ranges for platform in platforms
        ]
        for number, options in enumerate(locked_for):
            append = ["--append"] if number else []
            self.pdm("lock", "--group=:all", *append, *options, folder=folder, target=target)

    def installs(self, folder: Path, target: Target, selection: Selection) -> dict[str, str]:
        # Groups of development are all in or, with those of users (extras), all out, unless named.
        options = [] if selection.groups else ["--prod"]
        options += [f"--group={name}" for name in selection.groups + selection.extras]
        said = self.pdm("sync", "--dry-run", "--no-self", *options, folder=folder, target=target)
        _, heading, listed = said.partition("Packages to add:\n")
        assert heading, said
        lines = re.findall(r"^  - (\S+) (\S+)$", listed, re.MULTILINE)
        return distributions(lines)

    def pdm(self, command: str, *options: str, folder: Path, target: Target) -> str:
        # pdm looks at its own Python, too, and asks the target's without the paths of its
        # environment: then there is only what sysconfig reads.
        disguise = {"_PYTHON_HOST_PLATFORM": f"linux-{target.machine}"}
        if target.disguise:
            disguise["PYTHONPATH"] = str(target.disguise)
        return self.call(
            self.program, command, *options, folder=folder,
            VIRTUAL_ENV=target.environment,
            PDM_PYTHON=target.python,
            PDM_CHECK_UPDATE=0,
            PDM_CACHE_DIR=self.cache / "cache",
            PDM_LOG_DIR=self.cache / "log",
            XDG_CONFIG_HOME=self.cache / "configuration",
            **disguise,
        )  # fmt: skip


class PdmWithUrls(Pdm):
    """With the URLs of the files in the lock."""

    name = "pdm-urls"

    def lock(self, folder: Path, target: Target) -> None:
        super().lock(folder, target)
        # Which cannot be said together with --append.
        self.pdm("lock", "--refresh", "--strategy=static_urls", folder=folder, target=target)


class PdmPylock(Pdm):
    """With what PEP 751 has for groups and extras in place of its own format."""

    name = "pdm-pylock"
    lock_name = "pylock.toml"

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        self.environment["PDM_LOCK_FORMAT"] = "pylock"


class PdmForPlatforms(Pdm):
    """For the two platforms of Lambda and no other."""

    name = "pdm-platforms"
    platforms = ("manylinux_2_34_x86_64", "manylinux_2_34_aarch64")


def distributions(found) -> dict[str, str]:
    """Names and versions, each in the form in which they can be compared; no name twice."""
    listed = [(canonicalize_name(name), str(Version(version))) for name, version in found]
    named = dict(listed)
    assert len(named) == len(listed), f"a distribution is there twice: {listed}"
    return named


def index_url() -> str:
    """The package index that pip takes, which is not written down here."""
    for setting in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if url := os.environ.get(setting):
            return url
    default = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    python = TOOLS / "lockers" / "bin" / "python"
    return subprocess.run(
        [python, "-c", default], capture_output=True, text=True, check=True
    ).stdout.strip()
