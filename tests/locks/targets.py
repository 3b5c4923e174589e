"""Interpreters that the tools take for those of Lambda's runtimes.

Each tool installs for the interpreter that it is given, and asks it what it is. So there is one
virtual environment for each target, and those of the architecture that this machine does not have
answer with the other one.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

POPULAR = Path(__file__).resolve().parents[1] / "popular"
sys.path.insert(0, str(POPULAR))

import interpreters  # noqa: E402

MINORS = (12, 13)
MACHINES = {architecture: machine for machine, architecture in interpreters.ARCHITECTURES.items()}

# What an interpreter answers on a machine of another kind.
ANOTHER_MACHINE = """\
import platform
import sysconfig

platform.machine = lambda: "{machine}"
sysconfig.get_platform = lambda: "linux-{machine}"
"""


@dataclass(frozen=True)
class Target:
    runtime: str
    architecture: str
    environment: Path
    """A virtual environment, in which there is nothing."""
    disguise: Path | None
    """A folder of modules that make any Python on this machine one of the architecture."""

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def machine(self) -> str:
        return MACHINES[self.architecture]

    def __str__(self) -> str:
        return f"{self.runtime} on {self.architecture}"


def targets(cache: Path, uv: Path) -> list[Target]:
    """Both runtimes for both architectures, as far as this machine has their Pythons."""
    found = []
    here = {interpreter.runtime: interpreter for interpreter in interpreters.found(MINORS)}
    for runtime in (f"python3.{minor}" for minor in MINORS):
        if runtime not in here:
            print(f"note: no lock file is tried for {runtime}")
            continue
        for architecture in MACHINES:
            found.append(_target(here[runtime], architecture, cache, uv))
    return found


def _target(
    interpreter: interpreters.Interpreter, architecture: str, cache: Path, uv: Path
) -> Target:
    environment = cache / "environments" / f"{interpreter.runtime}-{architecture}"
    command = [uv, "venv", "--quiet", "--no-config", "--clear", "--python", interpreter.path]
    subprocess.run([*command, environment], check=True)
    machine = MACHINES[architecture]
    disguise = None
    if machine != platform.machine():
        disguise = cache / "environments" / f"as-{machine}"
        disguise.mkdir(exist_ok=True)
        (disguise / "another_machine.py").write_text(ANOTHER_MACHINE.format(machine=machine))
        (disguise / "sitecustomize.py").write_text("import another_machine\n")
        # Tools start it with -I, which leaves out PYTHONPATH, but not the environment's own paths.
        packages = environment / "lib" / interpreter.runtime / "site-packages"
        (packages / "another_machine.pth").write_text(f"{disguise}\nimport another_machine\n")
    target = Target(interpreter.runtime, architecture, environment, disguise)
    answer = subprocess.run(
        [target.python, "-I", "-c", "import platform; print(platform.machine())"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert answer == machine, f"{target.python} says that it is on {answer}"
    return target
