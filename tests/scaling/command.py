"""`make bench-command`: what the command takes with hundreds of layers, and to start.

Publishes the layers on an emulator that runs nothing else, and prints Markdown for
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from emulator import REGION, ROOT, Server, environment

LAYERS, VERSIONS = 500, 20
ROUNDS = 21


def publish(server: Server) -> None:
    """Publishes the layers, each of its versions with a content of its own."""
    client = server.client("lambda")

    def layer(index: int) -> None:
        for version in range(VERSIONS):
            content = io.BytesIO()
            with zipfile.ZipFile(content, "w") as archive:
                archive.writestr("python/it.py", f"# {index} {version}\n")
            client.publish_layer_version(
                LayerName=f"project-{index:03}-py313",
                Description=f"it=={version}.0",
                Content={"ZipFile": content.getvalue()},
                CompatibleRuntimes=["python3.13"],
                CompatibleArchitectures=["x86_64"],
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(layer, range(LAYERS)))


# Runs a command and writes what it took to the file descriptor 3. A child that has not become the
# command yet counts as large as its parent, so the parent is a small one.
METER = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
took = time.perf_counter() - start
os.write(3, f"{os.waitstatus_to_exitcode(status)} {took} {usage.ru_maxrss * 1024}".encode())
"""


def measure(program: Path, arguments: list[str], folder: Path, env: dict) -> tuple[float, int, str]:
    """Seconds (the median), bytes of memory (the most) and the output of a command."""
    times, memory, output = [], 0, ""
    for _ in range(ROUNDS):
        with tempfile.TemporaryFile() as taken:
            shell = ["/bin/sh", "-c", f'exec "$@" 3>&{taken.fileno()}', "sh"]
            output = subprocess.run(
                [*shell, sys.executable, "-I", "-S", "-c", METER, program, *arguments],
                cwd=folder,
                env=env,
                pass_fds=[taken.fileno()],
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            ).stdout
            taken.seek(0)
            status, seconds, most = taken.read().split()
        if int(status):
            raise SystemExit(f"error: {arguments} ended with status {int(status)}")
        times.append(float(seconds))
        memory = max(memory, int(most))
    return median(times), memory, output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/accretion")
    program = parser.parse_args().program.resolve()
    log = ROOT / "target/tmp/scaling/command.log"
    with Server(log) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deployments = {"Deployments": {REGION: {}}}
        (folder / "deployment.json").write_text(json.dumps(deployments))
        publish(server)
        env = environment() | {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "HOME": name,
        }
        layers = ["list", "layers", "deployment.json", REGION]
        versions = ["list", "versions", "deployment.json", REGION, "project-250-py313"]
        print("| `accretion` | time | memory |\n|---|---:|---:|")
        for arguments, lines in (
            (["--help"], None),
            (layers, LAYERS + 1),
            ([*layers, "--format", "json"], None),
            (versions, VERSIONS + 1),
        ):
            seconds, memory, output = measure(program, arguments, folder, env)
            if lines and output.count("\n") != lines:
                raise SystemExit(f"error: {arguments} printed {output.count(chr(10))} lines")
            shown = " ".join(arguments)
            print(f"| `{shown}` | {seconds * 1000:.1f} ms | {memory / 2**20:.1f} MiB |")


if __name__ == "__main__":
    main()
