"""Turns results into tables: ratios, goals, docs/benchmarks.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from contenders import BASELINE, FLOOR, PYLOCK, of_lock
from workspace import LOCK_NAMES

BEGIN = "<!-- benchmarks:begin (written by `make bench`; edit below the end marker) -->"
END = "<!-- benchmarks:end -->"
TEMPLATE = Path(__file__).with_name("template.md")

WALL, CPU, RSS = range(3)
MIB = 1024 * 1024


@dataclass(frozen=True)
class Goal:
    """A promise and whether this run kept it."""

    name: str
    wanted: str
    got: str
    met: bool


def middle(results: dict, key: str, contender: str, column: int) -> float | None:
    """Median of one measured quantity, or None if it was not measured."""
    samples = _samples(results, key, contender)
    return median(s[column] for s in samples) if samples else None


def ratio(results: dict, key: str, over: str, under: str, column: int) -> float | None:
    """Median of the rounds' own ratios: what both shared in a round cancels out."""
    pairs = list(zip(_samples(results, key, over), _samples(results, key, under), strict=False))
    # A clock that saw nothing (CPU ticks) cannot be divided by.
    return median(a[column] / max(b[column], 1e-4) for a, b in pairs) if pairs else None


def goals(results: dict) -> list[Goal]:
    """The goals for the sets that were measured; one that lacks its numbers is missed."""

    def at_least(name: str, got: float | None, wanted: float) -> Goal:
        shown = "not measured" if got is None else f"{got:.1f}×"
        return Goal(name, f"≥ {wanted:g}×", shown, got is not None and got >= wanted)

    def at_most(name: str, got: float | None, wanted: float, unit: str) -> Goal:
        shown = "not measured" if got is None else f"{got:.2f}{unit}"
        return Goal(name, f"≤ {wanted:g}{unit}", shown, got is not None and got <= wanted)

    found = []
    for key in results["sets"]:
        found.append(_right_layer(results, key))
        locked, online = {"S": (12, None), "M": (40, 8), "L": (40, 12)}[key]
        against = ratio(results, key, BASELINE, "accretion-locked", WALL)
        found.append(at_least(f"{key}: locked and warm, wall time under uv + zip", against, locked))
        if online:
            against = ratio(results, key, BASELINE, "accretion-online", WALL)
            found.append(
                at_least(f"{key}: resolving and warm, wall time under uv + zip", against, online)
            )
        for name in LOCK_NAMES:
            against = ratio(results, key, of_lock(name), PYLOCK, WALL)
            found.append(at_most(f"{key}: {name}, wall time over pylock.toml", against, 1.3, "×"))
        against = ratio(results, key, "uv-cold", "accretion-cold", WALL)
        found.append(at_least(f"{key}: cold, wall time under uv alone, cold", against, 1))
        if key != "S":
            against = ratio(results, key, "accretion-locked", FLOOR, CPU)
            found.append(at_most(f"{key}: locked and warm, CPU over the floor", against, 1.25, "×"))
        if key == "L":
            rows = results["sets"][key]["contenders"]
            peaks = [row["own_rss"] / MIB for row in rows.values() if "own_rss" in row]
            # A locked build has no child: wait4 saw its own peak in every timed run.
            waited = [s[RSS] / MIB for s in _samples(results, key, "accretion-locked")]
            peak = max(peaks + waited) if peaks and waited else None
            found.append(at_most(f"{key}: peak memory of accretion itself", peak, 64, " MiB"))
    return found


def write(results: dict, kept: list[Goal], doc: Path) -> None:
    """Replaces what is between the markers; what people wrote around them stays."""
    text = doc.read_text() if doc.exists() else TEMPLATE.read_text()
    doc.write_text(between_markers(text, document(results, kept)))


def between_markers(text: str, generated: str) -> str:
    """`text` with everything between its markers replaced by `generated`."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"error: no `{BEGIN}` … `{END}` in the document to write into")
    return f"{before}{BEGIN}\n\n{generated}\n{END}{after}"


def document(results: dict, kept: list[Goal]) -> str:
    """The generated part of the page."""
    parts = ["![Wall time of each contender, log scale](benchmarks.svg)"]
    for key, described in results["sets"].items():
        parts += [f"### {key}: {title(described)}", markdown(table(results, key))]
    checked = [["Goal", "Wanted", "Measured", "Met"]]
    checked += [[g.name, g.wanted, g.got, "yes" if g.met else "**no**"] for g in kept]
    parts += ["### Goals", markdown(checked)]
    machine = [["", ""], *([name, value] for name, value in results["machine"].items())]
    parts += ["### The machine", f"Rounds: {results['runs']}.", markdown(machine)]
    packages = [f"- {k}: {', '.join(d['packages'])}" for k, d in results["sets"].items()]
    parts += ["### The packages", "\n".join(packages)]
    return "\n\n".join(parts) + "\n"


def text(results: dict, kept: list[Goal]) -> str:
    """The tables for a terminal."""
    parts = []
    for key, described in results["sets"].items():
        parts.append(f"{key}: {title(described)}\n{aligned(table(results, key))}")
    rows = [["goal", "wanted", "measured", "met"]]
    rows += [[g.name, g.wanted, g.got, "yes" if g.met else "NO"] for g in kept]
    parts.append(aligned(rows))
    return "\n\n".join(parts)


def title(described: dict) -> str:
    """How big a set is."""
    sizes = f"wheels {size(described['wheels_size'])}"
    if "unzipped_size" in described:
        sizes += (
            f", unzipped {size(described['unzipped_size'])}, zip -9 {size(described['zip9_size'])}"
        )
    return f"{len(described['packages'])} packages, {sizes}"


def table(results: dict, key: str) -> list[list[str]]:
    """One row a contender, header first."""
    described = results["sets"][key]
    rows = [["", "wall", "uv + zip ÷ it", "CPU", "CPU ÷ floor", "peak RSS", "zip", "÷ zip -9",
             "same bytes", "files that differ"]]  # fmt: skip
    for contender, row in described["contenders"].items():
        label = results["labels"][contender]
        if "unavailable" in row:
            rows.append([label, f"not measured: {row['unavailable']}", *[""] * 8])
            continue
        peak = middle(results, key, contender, RSS)
        memory = size(peak)
        if peak is not None and peak <= results["harness_rss"]:
            memory = f"≤ {memory}"
        if "own_rss" in row:
            memory = f"{size(row['own_rss'])} ({memory})"
        zipped, nine = row.get("size"), described.get("zip9_size")
        rows.append([
            label,
            seconds(middle(results, key, contender, WALL)),
            times(ratio(results, key, BASELINE, contender, WALL)),
            seconds(middle(results, key, contender, CPU)),
            times(ratio(results, key, contender, FLOOR, CPU)),
            memory,
            size(zipped),
            f"{zipped / nine:.3f}" if zipped and nine else "–",
            {True: "yes", False: "no", None: "–"}[row.get("identical")],
            difference(row, contender),
        ])  # fmt: skip
    return rows


def difference(row: dict, contender: str) -> str:
    """Files more, fewer and other than in the layer of uv + zip."""
    if contender == BASELINE:
        return "reference"
    if "difference" not in row:
        return "–"
    more, fewer, other = row["difference"]
    said = [(more, "more"), (fewer, "fewer"), (other, "other")]
    return ", ".join(f"{count} {word}" for count, word in said if count) or "none"


def compact(results: dict) -> str:
    """JSON with one line for each contender, for diffs that can be read."""
    full = json.loads(json.dumps(results))
    inner = {}
    for key, described in full["sets"].items():
        for name, row in described["contenders"].items():
            mark = f"@{key}:{name}@"
            inner[f'"{mark}"'] = json.dumps(row)
            described["contenders"][name] = mark
        mark = f"@{key}@"
        inner[f'"{mark}"'] = json.dumps(described["packages"])
        described["packages"] = mark
    dumped = json.dumps(full, indent=1, ensure_ascii=False)
    for mark, line in inner.items():
        dumped = dumped.replace(mark, line)
    return dumped + "\n"


def markdown(rows: list[list[str]]) -> str:
    """A table for the page; numbers to the right."""
    header, *body = rows
    rule = ["---", *["---:"] * (len(header) - 1)] if len(header) > 3 else ["---"] * len(header)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *body])


def aligned(rows: list[list[str]]) -> str:
    """A table in columns; a long note in the second column may run over."""
    widths = [max(len(row[i]) for row in rows if not row[1].startswith("not measured"))
              for i in range(len(rows[0]))]  # fmt: skip
    widths[0] = max(len(row[0]) for row in rows)
    lines = []
    for first, *others in rows:
        cells = [
            first.ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def seconds(value: float | None) -> str:
    """Three significant digits."""
    return "–" if value is None else f"{float(f'{value:.3g}'):g} s"


def times(value: float | None) -> str:
    """Two or three significant digits."""
    return "–" if value is None else f"{value:.3g}×" if value < 100 else f"{value:.0f}×"


def size(value: float | None) -> str:
    """Bytes in MiB."""
    return "–" if value is None else f"{value / MIB:.1f} MiB"


def _right_layer(results: dict, key: str) -> Goal:
    """A quick build of something else is no achievement: the layer must be uv's, every time."""
    rows = results["sets"][key]["contenders"]
    ours = {name: row for name, row in rows.items() if name.startswith("accretion")}
    faults = [
        f"{name}: {difference(row, name)}"
        for name, row in ours.items()
        if row.get("difference") != [0, 0, 0]
    ]
    faults += [f"{name}: other bytes" for name, row in ours.items() if not row.get("identical")]
    got = "; ".join(faults) or ("it is" if ours else "not measured")
    return Goal(
        f"{key}: same files as uv + zip, same bytes every time", "it is", got, got == "it is"
    )


def _samples(results: dict, key: str, contender: str) -> list[list[float]]:
    return results["sets"][key]["contenders"].get(contender, {}).get("samples", [])
