"""Tries the wheels of the command. `make wheel` ends with it.

`python tests/wheel/try.py dist/wheels` checks the content and the size of every wheel in the folder,
and runs the program of those for this machine's processor. The wheel that pip takes on this machine
is installed into a new virtual environment and builds layers, and uvx runs it. Each round has an
empty home, so nothing is cached; the times of all rounds are printed.

The wheel of uv and the packages of the layers come from your package index, as configured for uv and
pip.
"""

from __future__ import annotations

import argparse
import email
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

MIB = 1 << 20
LARGEST = 15 * MIB
# Runs of `accretion --version`, whose median counts.
RUNS = 21
SYSTEM = "/usr/bin:/bin"
# The way to the package registries is the machine's, not the user's.
KEPT = (
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL", "UV_DEFAULT_INDEX",
)  # fmt: skip
# Where shells and man look for these, and the arguments of the command that prints the same.
COMPLETIONS = {
    "share/bash-completion/completions/accretion": "bash",
    "share/fish/vendor_completions.d/accretion.fish": "fish",
    "share/zsh/site-functions/_accretion": "zsh",
}
MAN = "share/man/man1"
# One package with compiled code, one without.
REQUIREMENTS = "markupsafe\nsix\n"
LAYERS = ["tools-py313-arm64.manifest", "tools-py313-arm64.zip", "tools-py313.manifest", "tools-py313.zip"]


class Failed(Exception):
    """A wheel is not as it should be."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of the wheels")
    parser.add_argument("--rounds", type=int, default=1, help="how often to install and build")
    arguments = parser.parse_args()
    wheels = sorted(arguments.folder.resolve().glob("*.whl"))
    if not wheels:
        sys.exit(f"error: {arguments.folder} has no wheel")
    try:
        for wheel in wheels:
            check(wheel)
        # pip prefers the first tag that it knows.
        ranks = {tag: rank for rank, tag in reversed(list(enumerate(sys_tags())))}
        fitting = {wheel: [ranks[tag] for tag in tags(wheel) if tag in ranks] for wheel in wheels}
        installable = [wheel for wheel, found in fitting.items() if found]
        if not installable:
            print("note: no wheel is for this machine, so none was installed")
            return 0
        best = min(installable, key=lambda wheel: min(fitting[wheel]))
        for _ in range(arguments.rounds):
            install_and_build(best)
        run_by_uvx(best)
    except Failed as error:
        sys.exit(f"error: {error}")
    print(f"ok: {', '.join(wheel.name for wheel in wheels)}")
    return 0


def tags(wheel: Path) -> frozenset:
    """The tags of a wheel."""
    return parse_wheel_filename(wheel.name)[3]


def holds(condition: object, problem: str) -> None:
    if not condition:
        raise Failed(problem)


def run(*command: object, path: str = SYSTEM, home: Path, folder: Path | None = None) -> bytes:
    """Runs a command without anything of the caller's environment. Returns its output."""
    kept = {name: os.environ[name] for name in KEPT if os.environ.get(name)}
    environment = {
        "PATH": path,
        "HOME": str(home),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        **kept,
    }
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder or home, env=environment, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    holds(done.returncode == 0, f"`{' '.join(words)}` failed:\n{said}")
    return done.stdout


def check(wheel: Path) -> None:
    """Checks a wheel without installing it. Its program runs if it is for this processor."""
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / MIB:.1f} MiB")
    holds(size <= LARGEST, f"{wheel.name} is larger than {LARGEST // MIB} MiB")
    name, version, _, _ = parse_wheel_filename(wheel.name)
    data, info = f"{name}-{version}.data", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        program = archive.read(f"{data}/scripts/accretion")
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        wanted = {f"{data}/data/{path}" for path in (*COMPLETIONS, f"{MAN}/accretion.1")}
        wanted.add(f"{info}/licenses/LICENSE")
        holds(wanted <= names, f"{wheel.name} lacks {sorted(wanted - names)}")
        lists = [name for name in names if name.startswith(f"{info}/sboms/")]
        holds(len(lists) == 1, f"{wheel.name} has not one list of its components: {lists}")
    required = [Requirement(line).name for line in metadata.get_all("Requires-Dist", [])]
    holds(required == ["uv"], f"{wheel.name} requires {required}")
    holds(metadata["License-Expression"] == "Apache-2.0", f"{wheel.name} names no licence")
    if all(tag.platform.endswith(f"_{platform.machine()}") for tag in tags(wheel)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "accretion"
            path.write_bytes(program)
            path.chmod(0o755)
            holds_version(run(path, "--version", home=Path(folder)), wheel)


def holds_version(output: bytes, wheel: Path) -> None:
    said, version = output.decode().strip(), parse_wheel_filename(wheel.name)[1]
    holds(said == f"accretion {version}", f"{wheel.name} says that it is {said}")


def timed(*command: object, **options: object) -> float:
    started = time.monotonic()
    run(*command, **options)
    return time.monotonic() - started


def install_and_build(wheel: Path) -> None:
    """Installs a wheel as a user does, and builds layers with it."""
    with tempfile.TemporaryDirectory(prefix="accretion-wheel.") as name:
        root = Path(name)
        home, work, venv = root / "home", root / "work", root / "venv"
        home.mkdir()
        work.mkdir()
        (work / "requirements.txt").write_text(REQUIREMENTS)
        run(sys.executable, "-m", "venv", venv, home=home)
        own = f"{venv / 'bin'}:{SYSTEM}"
        installing = timed(venv / "bin/pip", "install", wheel, path=own, home=home)
        build = ("build", "requirements.txt", "--name", "tools", "--runtime", "python3.13")
        building = timed(venv / "bin/accretion", *build, path=own, home=home, folder=work)
        holds(sorted(os.listdir(work / "layers")) == LAYERS, f"layers: {os.listdir(work / 'layers')}")
        # The uv of this environment is found without it, too.
        accretion = venv / "bin/accretion"
        run(accretion, *build, "--output", "again", home=home, folder=work)
        holds_version(run("accretion", "--version", path=own, home=home), wheel)
        starts = statistics.median(timed(accretion, "--version", home=home) for _ in range(RUNS))
        print(
            f"pip install {installing:.1f} s, first layers {building:.1f} s, together "
            f"{installing + building:.1f} s; accretion --version {starts * 1000:.1f} ms"
        )
        check_installed(venv, accretion, home)
        run(venv / "bin/pip", "uninstall", "--yes", "accretion", path=own, home=home)
        left = [path for path in (*COMPLETIONS, f"{MAN}/accretion.1") if (venv / path).exists()]
        holds(not left, f"pip leaves {left}")


def check_installed(venv: Path, accretion: Path, home: Path) -> None:
    """Checks that completions and man pages are those of the installed command."""
    for path, shell in COMPLETIONS.items():
        expected = run(accretion, "completions", shell, home=home)
        holds((venv / path).read_bytes() == expected, f"{path} is not what the command prints")
    run(accretion, "man", home / "man1", home=home)
    expected = {page.name: page.read_bytes() for page in (home / "man1").iterdir()}
    installed = {page.name: page.read_bytes() for page in (venv / MAN).iterdir()}
    holds(installed == expected, "the man pages are not those that the command writes")


def run_by_uvx(wheel: Path) -> None:
    """Runs the command by the pinned uv, which lies beside this Python."""
    uvx = Path(sys.executable).with_name("uvx")
    with tempfile.TemporaryDirectory(prefix="accretion-uvx.") as name:
        home = Path(name)
        (home / "requirements.txt").write_text(REQUIREMENTS)
        python = ("--python", sys.executable)
        holds_version(run(uvx, *python, "--from", wheel, "accretion", "--version", home=home), wheel)
        checking = ("check", "requirements.txt", "--name", "tools")
        run(uvx, *python, "--from", wheel, "accretion", *checking, home=home)


if __name__ == "__main__":
    sys.exit(main())
