"""Builds a layer of each distribution of a list and holds it against what uv installs.

`python tests/popular/run.py --accretion target/release/accretion [NAME…]` locks each distribution of
distributions.txt (or those named) with its dependencies, builds the lock with `accretion build`,
installs the same versions with `uv pip install --target`, and compares the two with verify.py. What uv
installed, as extra files, must raise no alarm about secrets. Exits with 1 if any differs or does.
Downloads are kept in --cache, by default `.tools/cache`.

Where the machine has an interpreter that is a Lambda runtime (interpreters.py), the layers are made
for it and imported; otherwise that part is left out, with a line that starts with `note: `.

`--odd FILE` takes the distributions of another list, without their dependencies: nothing is
imported then. Its layers are of as many distributions as `--together` says.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import interpreters

HERE = Path(__file__).resolve().parent
PINS = [HERE / "distributions.txt", HERE / "constraints.txt"]


class Failed(Exception):
    """A step of one distribution failed; the text is what it printed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accretion", type=Path, required=True, help="the command to test")
    parser.add_argument("--cache", type=Path, default=HERE.parents[1] / ".tools" / "cache")
    parser.add_argument("--odd", type=Path, metavar="FILE", help="another list, no dependencies")
    parser.add_argument("--together", type=int, default=1, help="distributions in a layer")
    parser.add_argument("names", nargs="*", help="the distributions; all of them by default")
    arguments = parser.parse_args()

    interpreter = interpreters.find()
    if interpreter is None:
        architecture = interpreters.ARCHITECTURES[platform.machine()]
        interpreter = interpreters.Interpreter("python3.13", architecture, "")
        if not arguments.odd:
            print("note: no layer of a popular distribution is imported")

    lines = (arguments.odd or PINS[0]).read_text().splitlines()
    pins = [line for line in lines if "==" in line and not line.startswith("#")]
    if arguments.names:
        pins = [pin for pin in pins if pin.partition("==")[0] in arguments.names]
    if not pins:
        sys.exit("error: none of the distributions is in the list")
    layers = [pins[at : at + arguments.together] for at in range(0, len(pins), arguments.together)]

    start = time.monotonic()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="popular-") as folder:
        check = Check(arguments.accretion.resolve(), arguments.cache, interpreter, Path(folder))
        check.alone = arguments.odd is not None
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for pins, problem in zip(layers, threads.map(check.run, layers)):
                print(f"{'FAILED' if problem else 'ok':<7} {' '.join(pins)}", flush=True)
                if problem:
                    failures += 1
                    print(problem)
    seconds = time.monotonic() - start
    print(
        f"{len(layers) - failures} of {len(layers)} layers for {interpreter.runtime} on"
        f" {interpreter.architecture} equal what uv installs ({seconds:.0f} s)"
    )
    return 1 if failures else 0


class Check:
    def __init__(
        self, accretion: Path, cache: Path, interpreter: interpreters.Interpreter, folder: Path
    ) -> None:
        self.accretion = accretion
        self.interpreter = interpreter
        self.folder = folder
        # Whether dependencies are left out, and nothing is imported.
        self.alone = False
        # uv only needs some Python to work with; what it works for is said with each command.
        self.python = interpreter.path or sys.executable
        self.environment = {
            **os.environ,
            "UV_CACHE_DIR": str(cache / "uv"),
            "UV_PYTHON_DOWNLOADS": "never",
            "ACCRETION_CACHE_DIR": str(cache / "accretion"),
        }

    def run(self, pins: list[str]) -> str | None:
        """What is wrong with the layer of some distributions, or nothing."""
        try:
            self.compare(pins)
        except Failed as failed:
            return str(failed)
        return None

    def compare(self, pins: list[str]) -> None:
        names = [pin.partition("==")[0] for pin in pins]
        folder = self.folder / pins[0]
        folder.mkdir()
        requirements, lock = folder / "requirements.txt", folder / "pylock.toml"
        requirements.write_text("\n".join([*pins, ""]))
        minor = self.interpreter.runtime.removeprefix("python")
        machine = "aarch64" if self.interpreter.architecture == "arm64" else "x86_64"
        options = ["--quiet", "--no-config", "--no-build", "--python", self.python]
        options += ["--python-version", minor]
        options += ["--python-platform", f"{machine}-manylinux_2_34"]
        if self.alone:
            options.append("--no-deps")
            constraints = []
        else:
            constraints = [word for file in PINS for word in ("--constraint", str(file))]
        # The same lock in two forms: uv takes no pylock.toml for a Python that it does not run.
        pinned = folder / "pinned.txt"
        for output in (lock, pinned):
            self.call(
                "uv", "pip", "compile", *options, *constraints, "--generate-hashes",
                "--output-file", str(output), str(requirements),
            )
        installed = folder / "installed"
        self.call(
            "uv", "pip", "install", *options, "--link-mode", "hardlink",
            "--target", str(installed), "--require-hashes", "--requirements", str(pinned),
        )
        self.call(
            str(self.accretion), "build", str(lock), "--name", "popular",
            "--runtime", self.interpreter.runtime,
            "--architecture", self.interpreter.architecture,
            "--output", str(folder / "layers"), "--quiet",
        )
        if not self.alone:
            self.include(lock, installed)
        [layer] = (folder / "layers").glob("*.zip")
        if self.alone:
            imports = ["--no-dependencies"]
        else:
            imports = ["--python", self.interpreter.path] if self.interpreter.path else []
        distributions = [word for name in names for word in ("--distribution", name)]
        self.call(
            sys.executable, str(HERE / "verify.py"), str(layer), str(installed),
            *distributions, *imports,
        )

    def include(self, lock: Path, installed: Path) -> None:
        """Fails if extra files that are those of popular packages are taken for secrets."""
        done = subprocess.run(
            [
                str(self.accretion), "build", str(lock), "--name", "extra",
                "--runtime", self.interpreter.runtime,
                "--architecture", self.interpreter.architecture,
                "--output", str(installed.with_name("extra")), "--include", str(installed),
            ],
            env=self.environment, capture_output=True, text=True,
        )
        # Another error is possible: some files are those of the packages, with other content.
        if "SecretFound" in done.stderr:
            raise Failed(done.stderr)

    def call(self, *command: str) -> None:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
