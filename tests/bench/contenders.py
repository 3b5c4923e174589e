"""Who takes part, and by which commands each makes the layer."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import Step
from workspace import LOCK_NAMES, PackageSet, Workspace

BASELINE = "uv+zip"
FLOOR = "floor"
PYLOCK = "accretion-locked"


def of_lock(name: str) -> str:
    """The contender that builds from a lock file of this name."""
    return f"{PYLOCK}-{name}"


@dataclass(frozen=True)
class Contender:
    """One way to make the layer (or, for `floor` and `uv-cold`, a yardstick)."""

    key: str
    label: str
    steps: Callable[[Path, PackageSet], list[Step]]
    """The timed commands; the folder given is empty and all theirs."""
    artifact: str | None = None
    """Glob of the zip the commands leave in the folder."""
    setup: Callable[[Path, PackageSet], None] = lambda folder, chosen: None
    """Untimed: what a user would have lying there already."""
    cold: bool = False
    """Caches are empty at the start of every run."""
    unavailable: str | None = None
    """Why it cannot take part on this machine."""


SAM_TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties:
      ContentUri: src
      CompatibleRuntimes: [python3.12]
      CompatibleArchitectures: [x86_64]
    Metadata:
      BuildMethod: python3.12
      BuildArchitecture: x86_64
"""


def contenders(work: Workspace, sha256: list[str]) -> list[Contender]:
    """All contenders, in the order they are shown."""
    uv_install = [str(work.uv), "pip", "install", *work.uv_target(), "--target", "python"]
    no_python = None
    if work.python312 is None:
        no_python = "no CPython 3.12 (hint: make interpreters)"

    def zip_python(folder: Path) -> Step:
        return Step(["zip", "-rq", "layer.zip", "python"], folder)

    def pip_zip(folder: Path, chosen: PackageSet) -> list[Step]:
        # --no-compile: nobody else writes .pyc files, and they would make pip slower.
        install = [*work.pip(), "install", *work.pip_target(), "--no-compile",
                   "-t", "python", "-r", str(chosen.locked)]  # fmt: skip
        return [Step(install, folder), zip_python(folder)]

    def uv_zip(folder: Path, chosen: PackageSet) -> list[Step]:
        # --offline: no look at the index, the best that uv can do.
        locked = ["--offline", "--no-deps", "--require-hashes", "-r", str(chosen.locked)]
        return [Step([*uv_install, *locked], folder), zip_python(folder)]

    def uv_online_zip(folder: Path, chosen: PackageSet) -> list[Step]:
        return [Step([*uv_install, "-r", str(chosen.requirements)], folder), zip_python(folder)]

    def uv_cold(folder: Path, chosen: PackageSet) -> list[Step]:
        env = {"UV_CACHE_DIR": str(folder / "cache")}
        return [Step([*uv_install, "-r", str(chosen.requirements)], folder, env)]

    def sam_setup(folder: Path, chosen: PackageSet) -> None:
        (folder / "src").mkdir()
        (folder / "src" / "requirements.txt").write_bytes(chosen.locked.read_bytes())
        (folder / "template.yaml").write_text(SAM_TEMPLATE)

    def sam_zip(folder: Path, chosen: PackageSet) -> list[Step]:
        assert work.python312
        env = {"PATH": f"{work.python312.parent}:{work.env['PATH']}"}
        build = Step([str(work.sam), "build", "-t", "template.yaml"], folder, env)
        return [build, Step(["zip", "-rq", "../../../layer.zip", "python"],
                            folder / ".aws-sam" / "build" / "Layer")]  # fmt: skip

    def accretion(folder: Path, source: Path, env: dict[str, str]) -> list[Step]:
        argv = [str(work.accretion), "build", str(source), "--name", "bench", "-q",
                "--runtime", "python3.12", "--architecture", "x86_64",
                "--output", str(folder / "layers")]  # fmt: skip
        return [Step(argv, folder, env)]

    def cold_caches(folder: Path) -> dict[str, str]:
        names = {"ACCRETION_CACHE_DIR": "accretion", "UV_CACHE_DIR": "uv", "XDG_CACHE_HOME": "xdg"}
        return {variable: str(folder / "cache" / name) for variable, name in names.items()}

    def floor(folder: Path, chosen: PackageSet) -> list[Step]:
        wheels = " ".join(shlex.quote(str(w)) for w in sorted(chosen.wheels.glob("*.whl")))
        return [
            Step(["sh", "-c", f"exec cat {wheels} > all"], folder),
            Step([*sha256, "all"], folder),
        ]

    return [
        Contender(PYLOCK, "accretion, locked, warm",
                  lambda f, s: accretion(f, s.pylock, {}), "layers/**/*.zip"),
        *(Contender(of_lock(name), f"accretion, {name}, warm",
                    lambda f, s, name=name: accretion(f, s.locks / name, {}), "layers/**/*.zip",
                    unavailable=no_python) for name in LOCK_NAMES),
        Contender("accretion-online", "accretion, resolving, warm",
                  lambda f, s: accretion(f, s.requirements, {}), "layers/**/*.zip"),
        Contender("accretion-cold", "accretion, resolving, cold",
                  lambda f, s: accretion(f, s.requirements, cold_caches(f)),
                  "layers/**/*.zip", cold=True),
        Contender("uv-cold", "uv alone, no zip, resolving, cold", uv_cold, cold=True),
        Contender(BASELINE, "uv + zip, locked, warm", uv_zip, "layer.zip"),
        Contender("uv-online+zip", "uv + zip, resolving, warm", uv_online_zip, "layer.zip"),
        Contender("pip+zip", "pip + zip, locked, warm", pip_zip, "layer.zip"),
        Contender("sam+zip", "sam build + zip, locked, warm", sam_zip, "layer.zip", sam_setup,
                  unavailable=no_python),
        Contender(FLOOR, "floor: cat the wheels, sha256", floor),
    ]  # fmt: skip
