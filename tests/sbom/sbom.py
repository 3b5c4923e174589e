"""`make sbom`: what each thing of a release is made of, as CycloneDX JSON.

cargo-cyclonedx knows the crates. What it writes names folders of this machine, and crates that are
in the lock for features that nobody asks for, and says nothing of the uv that the builder brings
along. All of that is put right here: a list has what cargo says it compiles in, no less and no
more. The same commit gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What a release consists of: package and binary, by the file to write.
RELEASE = {
    "dispatcher": ("dispatcher", "dispatcher"),
    "builder": ("builder", "builder"),
    "publisher": ("publisher", "publisher"),
    "sandbox": ("sandbox", "sandbox"),
    "accretion": ("accretion", "accretion"),
}
# Those whose packages have a uv.
WITH_UV = ("builder", "sandbox")
SPECIFICATION = "1.5"


def generate(cyclonedx: Path, triple: str) -> dict[str, dict]:
    """The lists as cargo-cyclonedx makes them, of all binaries of the workspace."""
    before = set(_generated())
    if before:
        raise SystemExit(f"error: remove {', '.join(map(str, sorted(before)))}: they are in the way")
    try:
        run = [cyclonedx, "cyclonedx", "--quiet", "--manifest-path", ROOT / "Cargo.toml"]
        run += ["--format", "json", "--spec-version", SPECIFICATION, "--describe", "binaries"]
        run += ["--target", triple, "--no-build-deps"]
        subprocess.run(run, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": str(_epoch())})
        found = {path.name.removesuffix("_bin.cdx.json"): path for path in _generated()}
        return {name: json.loads(found[binary].read_text()) for name, (_, binary) in RELEASE.items()}
    finally:
        for path in _generated():
            path.unlink()


def _generated() -> list[Path]:
    """Where cargo-cyclonedx writes: beside the manifests of the members."""
    manifests = [ROOT / "cli", *ROOT.glob("functions/*"), *ROOT.glob("shared/*")]
    manifests += [ROOT / "tests", ROOT / "tests/pipeline"]
    return [path for folder in manifests for path in folder.glob("*_bin.cdx.json")]


def _epoch() -> int:
    """When this commit was made; the time of a list is that of what it describes."""
    log = ["git", "-C", ROOT, "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(log, check=True, capture_output=True, text=True).stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return 0


def portable(bom: dict, prefix: str = "") -> dict:
    """The same list without what is true on one machine only, and in one order. Components are
    referred to by their package URL; `prefix` keeps those of two lists apart."""
    names: dict[str, str] = {}

    def rename(component: dict) -> dict:
        purl = component["purl"] = re.sub(r"[?#].*", "", component["purl"])
        # The name of a binary is not that of its package.
        reference = f"{prefix}{purl}"
        if reference in names.values():
            raise SystemExit(f"error: two components are {reference}")
        names[component["bom-ref"]] = component["bom-ref"] = reference
        # The targets of a package say nothing that the package does not.
        component.pop("components", None)
        return component

    old = bom["metadata"]["component"]["bom-ref"]
    bom["metadata"]["component"] = rename(bom["metadata"]["component"])
    names[old] = bom["metadata"]["component"]["bom-ref"]
    components, references = [], []
    for component in bom.get("components", []):
        references.append(component["bom-ref"])
        components.append(rename(dict(component)))
    for reference, component in zip(references, components, strict=True):
        names[reference] = component["bom-ref"]
    bom["components"] = sorted(components, key=lambda it: it["bom-ref"])
    bom["dependencies"] = sorted(
        (
            {"ref": names[it["ref"]], "dependsOn": sorted(names[on] for on in it["dependsOn"])}
            if it.get("dependsOn")
            else {"ref": names[it["ref"]]}
            for it in bom.get("dependencies", [])
        ),
        key=lambda it: it["ref"],
    )
    bom.pop("serialNumber", None)
    return bom


def add_uv(bom: dict, executable: Path, own: Path, lock: str) -> None:
    """The uv that a package brings along, with the crates that its own list names."""
    version, wheels = locked(lock, "uv")
    parts = portable(json.loads(own.read_text()), prefix="uv/")
    if parts["metadata"]["component"]["version"] != version:
        raise SystemExit(f"error: {own} is not of uv {version}; hint: remove its folder")
    reference = f"pkg:pypi/uv@{version}"
    component = {
        "type": "application",
        "bom-ref": reference,
        "name": "uv",
        "version": version,
        "description": "Resolves requirements; runs as a process of its own",
        "scope": "required",
        "hashes": [
            {"alg": "SHA-256", "content": hashlib.sha256(executable.read_bytes()).hexdigest()}
        ],
        "licenses": parts["metadata"]["component"]["licenses"],
        "purl": reference,
        "externalReferences": [
            {
                "type": "distribution",
                "url": reference,
                "comment": "The executable is out of one of these wheels, as tests/tools/requirements.txt pins them",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in wheels],
            }
        ],
        "components": parts["components"],
    }
    bom["components"] = sorted([*bom["components"], component], key=lambda it: it["bom-ref"])
    # uv's list calls its root a crate; here it is the wheel's executable.
    root = parts["metadata"]["component"]["bom-ref"]
    for dependency in parts["dependencies"]:
        if dependency["ref"] == root:
            dependency["ref"] = reference
        bom["dependencies"].append(dependency)
    program = bom["metadata"]["component"]["bom-ref"]
    for dependency in bom["dependencies"]:
        if dependency["ref"] == program:
            dependency["dependsOn"] = sorted([*dependency.get("dependsOn", []), reference])
    bom["dependencies"].sort(key=lambda it: it["ref"])


def locked(lock: str, package: str) -> tuple[str, list[str]]:
    """The version of a package and the hashes of its files, out of a lock of pip."""
    found = re.search(rf"^{package}==([^ ]+) \\\n((?:    --hash=sha256:[0-9a-f]+(?: \\)?\n)+)", lock, re.M)
    if not found:
        raise SystemExit(f"error: the lock has no {package}")
    return found[1], sorted(re.findall(r"sha256:([0-9a-f]{64})", found[2]))


def compiled(tree: str) -> set[tuple[str, str]]:
    """Names and versions of the crates that cargo compiles in. `tree` has `name vversion` first on
    each line."""
    lines = (line.split() for line in tree.splitlines() if line.strip())
    return {(line[0], line[1].removeprefix("v")) for line in lines}


def reduce_to(bom: dict, wanted: set[tuple[str, str]]) -> list[str]:
    """Drops what is not wanted, and returns what is wanted and not there."""

    def key(component: dict) -> tuple[str, str]:
        return component["name"], component["version"]

    root = bom["metadata"]["component"]
    bom["components"] = [it for it in bom["components"] if key(it) in wanted]
    kept = {it["bom-ref"] for it in bom["components"]} | {root["bom-ref"]}
    bom["dependencies"] = [it for it in bom["dependencies"] if it["ref"] in kept]
    for dependency in bom["dependencies"]:
        if "dependsOn" in dependency:
            dependency["dependsOn"] = [it for it in dependency["dependsOn"] if it in kept]
    known = {key(it) for it in bom["components"]} | {key(root)}
    return sorted(f"{name} {version}" for name, version in wanted - known)


def _tree(package: str, triple: str) -> str:
    """The crates of a package, as cargo compiles it."""
    run = ["cargo", "tree", "--locked", "--package", package, "--edges", "normal"]
    run += ["--target", triple, "--prefix", "none", "--format", "{p}"]
    return subprocess.run(run, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def invalid(text: str) -> str | None:
    """What is wrong with a list by the schema of CycloneDX."""
    # Of the lint environment; tests of the rest do without.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    problem = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    return str(problem).split("\n")[0] if problem else None


def main() -> int:
    """Writes the lists."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cyclonedx", type=Path, required=True, help="the program cargo-cyclonedx")
    parser.add_argument("--uv", type=Path, required=True, help="the folder of the builder's uv")
    parser.add_argument("--machine", default="x86_64", choices=("x86_64", "aarch64"))
    parser.add_argument("--output", type=Path, default=ROOT / "dist/sbom")
    arguments = parser.parse_args()
    triple = f"{arguments.machine}-unknown-linux-gnu"
    problems = []
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, bom in generate(arguments.cyclonedx.resolve(), triple).items():
        package, _ = RELEASE[name]
        bom = portable(bom)
        lacking = reduce_to(bom, compiled(_tree(package, triple)))
        problems += [f"{name}: {it} is not listed" for it in lacking]
        if name in WITH_UV:
            lock = (ROOT / "tests/tools/requirements.txt").read_text()
            add_uv(bom, arguments.uv / "uv", arguments.uv / "uv.cyclonedx.json", lock)
        text = json.dumps(bom, indent=1, sort_keys=True) + "\n"
        if problem := invalid(text):
            problems.append(f"{name}: {problem}")
        if str(ROOT) in text or "file://" in text:
            problems.append(f"{name}: it names a folder of this machine")
        path = arguments.output / f"{name}-{arguments.machine}.cdx.json"
        path.write_text(text)
        print(f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}: "
              f"{len(bom['components'])} components")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
