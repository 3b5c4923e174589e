"""Measures accretion beside pip, uv and sam, and writes docs/benchmarks.{md,json,svg}.

Run by `make bench`. All contenders build the same locked packages, on one file
system, in interleaved rounds; see template.md for the method in words.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import sys
import zipfile
from pathlib import Path

import report
from contenders import BASELINE, Contender, contenders
from measure import CommandFailed, own_peak_rss, run
from workspace import SETS, PackageSet, Workspace, empty

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Measures unless `--render` was given, then writes, prints and checks."""
    args = arguments()
    stored = args.output / "benchmarks.json"
    if args.render:
        results = json.loads(stored.read_text())
    else:
        try:
            results = measure(args)
        except CommandFailed as failure:
            print(f"error: {failure}\nhint: `--skip NAME` leaves a contender out", file=sys.stderr)
            return 1
    goals = report.goals(results)
    if not args.print_only:
        args.output.mkdir(parents=True, exist_ok=True)
        stored.write_text(report.compact(results))
        report.write(results, goals, args.output / "benchmarks.md")
        import chart  # Only now: matplotlib would weigh on the memory measured.

        chart.draw(results, args.output / "benchmarks.svg")
    print(report.text(results, goals))
    missed = [goal for goal in goals if not goal.met]
    if args.check and missed:
        print(f"error: {len(missed)} of {len(goals)} goals not met", file=sys.stderr)
        for goal in missed:
            print(f"  {goal.name}: wanted {goal.wanted}, got {goal.got}", file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--runs", type=int, default=5, metavar="N", help="timed rounds (default 5)")
    add("--sets", default="S,M,L", help="which sets to build (default S,M,L)")
    add(
        "--skip",
        action="append",
        default=[],
        metavar="NAME",
        help="leave out contenders whose name starts so: accretion, uv-cold, sam, …",
    )
    add(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="take contenders alone whose name starts so, such as accretion-locked; with --print-only",
    )
    add(
        "--work",
        type=Path,
        default=ROOT / "target" / "bench",
        metavar="DIR",
        help="work folder: caches, wheels, outputs (default target/bench)",
    )
    add(
        "--accretion",
        type=Path,
        default=ROOT / "target" / "release" / "accretion",
        metavar="PATH",
        help="the command (default target/release/accretion)",
    )
    add(
        "--output",
        type=Path,
        default=ROOT / "docs",
        metavar="DIR",
        help="folder of benchmarks.md, .json and .svg (default docs)",
    )
    add("--print-only", action="store_true", help="write no files, print the tables")
    add("--render", action="store_true", help="measure nothing, write again from the .json")
    add("--check", action="store_true", help="fail if a goal is not met")  # fmt: skip
    args = parser.parse_args()
    args.sets = args.sets.split(",")
    if unknown := set(args.sets) - SETS.keys():
        parser.error(f"no such set: {', '.join(sorted(unknown))}")
    if args.only and not args.print_only:
        parser.error("--only would leave a page with gaps: add --print-only")
    if args.runs < 1:
        parser.error("at least one run is needed")
    for name in ("work", "accretion", "output"):
        setattr(args, name, getattr(args, name).resolve())
    skips_accretion = any("accretion".startswith(s) for s in args.skip)
    if not args.render and not skips_accretion and not os.access(args.accretion, os.X_OK):
        parser.error(
            f"no command at {args.accretion}: build it with `cargo build --release -p accretion`,"
            " name it with --accretion PATH, or measure the others with `--skip accretion`"
        )
    return args


def measure(args: argparse.Namespace) -> dict:
    """Prepares every set and warms everything up, then runs the timed rounds."""
    work = Workspace(args.work, args.accretion)
    sets = {}
    for key in args.sets:
        say(f"{key}: locking and fetching {', '.join(SETS[key])}")
        sets[key] = work.lock(key)
    hash_name, sha256 = work.quickest_sha256(concatenated(work, sets[args.sets[-1]]))
    everyone = [
        c
        for c in contenders(work, sha256)
        if not c.key.startswith(tuple(args.skip)) and c.key.startswith(tuple(args.only) or "")
    ]
    taking_part = [c for c in everyone if not c.unavailable]

    results = {
        "format": 1,
        "runs": args.runs,
        "machine": work.machine() | {"sha256": hash_name},
        "labels": {c.key: c.label for c in everyone},
        "sets": {},
    }
    for key, chosen in sets.items():
        results["sets"][key] = prepare(work, chosen, everyone)
    load = [os.getloadavg()[0]]
    for key, chosen in sets.items():
        timed = results["sets"][key]["contenders"]
        for number in range(args.runs):
            # Rotated, so that nobody always runs after the same neighbour.
            turn = number % len(taking_part)
            for contender in taking_part[turn:] + taking_part[:turn]:
                folder = fresh(work, contender, chosen)
                # Nobody pays for writing out what another left in the page cache.
                os.sync()
                sample = run(contender.steps(folder, chosen), work.env, work.log)
                row = timed[contender.key]
                row["samples"].append([round(sample.wall, 4), round(sample.cpu, 4), sample.rss])
                if contender.artifact:
                    row["sha256"].append(sha256_of(artifact(contender, folder)))
                say(f"{key} {number + 1}/{args.runs} {contender.label}: "
                    f"{sample.wall:.3f} s, CPU {sample.cpu:.3f} s")  # fmt: skip
                shutil.rmtree(folder)
        load.append(os.getloadavg()[0])
    # No child's peak below this one can be seen; see measure.run.
    results["harness_rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    results["machine"]["load average"] = " → ".join(f"{value:.2f}" for value in load)
    for described in results["sets"].values():
        for row in described["contenders"].values():
            hashes = row.pop("sha256", [])
            if len(hashes) > 1:
                row["identical"] = len(set(hashes)) == 1
    return results


def prepare(work: Workspace, chosen: PackageSet, everyone: list[Contender]) -> dict:
    """Runs everybody once, untimed: caches are filled and the zips compared."""
    rows: dict[str, dict] = {}
    described = {"packages": chosen.versions(), "contenders": rows}
    described["wheels_size"] = sum(w.stat().st_size for w in chosen.wheels.glob("*.whl"))
    # The offline contender needs what an online one leaves in the cache.
    work.call(work.uv, "pip", "install", *work.uv_target(), "--no-deps", "--target",
              empty(work.root / "run" / "prime"), "-r", chosen.locked)  # fmt: skip
    reference: dict[str, int] = {}
    for contender in sorted(everyone, key=lambda c: c.key != BASELINE):
        if contender.unavailable:
            rows[contender.key] = {"unavailable": contender.unavailable}
            continue
        row: dict = {"samples": []}
        rows[contender.key] = row
        if contender.cold and not contender.artifact:
            continue
        say(f"{chosen.key}: warming up {contender.label}")
        folder = fresh(work, contender, chosen)
        steps = contender.steps(folder, chosen)
        run(steps, work.env, work.log)
        if contender.artifact:
            made = artifact(contender, folder)
            files = contents(made)
            row |= {"size": made.stat().st_size, "sha256": [sha256_of(made)]}
            if contender.key == BASELINE:
                reference = files
                described["unzipped_size"] = unzipped_size(made)
                work.call("zip", "-9rq", "nine.zip", "python", cwd=folder)
                described["zip9_size"] = (folder / "nine.zip").stat().st_size
            elif reference:
                common = files.keys() & reference.keys()
                row["difference"] = [
                    len(files.keys() - common),
                    len(reference.keys() - common),
                    sum(files[name] != reference[name] for name in common),
                ]
        if contender.key.startswith("accretion"):
            folder = fresh(work, contender, chosen)
            row["own_rss"] = own_peak_rss(contender.steps(folder, chosen)[0], work.env, work.log)
        shutil.rmtree(folder)
    # Back to the order of the tables.
    described["contenders"] = {c.key: rows[c.key] for c in everyone}
    return described


def fresh(work: Workspace, contender: Contender, chosen: PackageSet) -> Path:
    """An empty folder for one run, with what the contender expects in it."""
    folder = empty(work.root / "run" / contender.key)
    contender.setup(folder, chosen)
    return folder


def artifact(contender: Contender, folder: Path) -> Path:
    """The one zip a run left."""
    assert contender.artifact
    found = list(folder.glob(contender.artifact))
    if len(found) != 1:
        raise SystemExit(f"error: {contender.label} left {len(found)} zips in {folder}, not one")
    return found[0]


def contents(layer: Path) -> dict[str, int]:
    """CRC of every file, save those that installers write each in their own way."""
    with zipfile.ZipFile(layer) as archive:
        return {
            entry.filename: entry.CRC
            for entry in archive.infolist()
            if not entry.is_dir()
            and not entry.filename.startswith("python/bin/")
            and ".dist-info/" not in entry.filename
            and entry.filename != "python/.lock"
        }


def unzipped_size(layer: Path) -> int:
    """Bytes Lambda counts against its limit."""
    with zipfile.ZipFile(layer) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def sha256_of(file: Path) -> str:
    """Hex digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def concatenated(work: Workspace, chosen: PackageSet) -> Path:
    """The wheels of a set in one file, to compare hash tools on."""
    target = work.root / "tmp" / "all"
    with target.open("wb") as sink:
        for wheel in sorted(chosen.wheels.glob("*.whl")):
            # In pieces: what this process once held shows in its children's peak.
            with wheel.open("rb") as source:
                shutil.copyfileobj(source, sink)
    return target


def say(line: str) -> None:
    """Progress, to stderr: stdout is for the results."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
