"""Draws docs/benchmarks.svg: wall time of each contender, one panel a set."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import NullLocator  # noqa: E402

import report  # noqa: E402
from contenders import BASELINE, FLOOR  # noqa: E402
from workspace import SETS  # noqa: E402

# Mid-tones: enough contrast on white and on near-black, whatever theme the page has.
TEXT, GRID = "#6f7c8a", "#6f7c8a4d"
OURS, THEIRS, YARDSTICK = "#d9730d", "#5b8def", "#8b949e"


def draw(results: dict, target: Path) -> None:
    """Writes the picture; the same results give the same bytes."""
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "accretion",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10,
        "text.color": TEXT,
        "axes.edgecolor": TEXT,
        "axes.labelcolor": TEXT,
        "axes.titlecolor": TEXT,
        "xtick.color": TEXT,
        "ytick.color": TEXT,
    }
    with pyplot.rc_context(style):
        _draw(results, target)
    # The reader's own fonts; the drawing leaves room for wider ones.
    svg = target.read_text()
    svg = svg.replace("'DejaVu Sans', sans-serif", "system-ui, 'Segoe UI', Arial, sans-serif")
    # What no renderer needs: rotations by nothing, indentation, matplotlib's metadata.
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = re.sub(r" <metadata>.*</metadata>\n", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\n?", "", svg)
    target.write_text(re.sub(r"^ +", "", svg, flags=re.MULTILINE))


def _draw(results: dict, target: Path) -> None:
    panels = {key: _bars(results, key) for key in results["sets"]}
    heights = [len(bars) + 1.2 for bars in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels), 1, sharex=True, squeeze=False,
        figsize=(9, 0.31 * sum(heights) + 0.9), height_ratios=heights,
    )  # fmt: skip
    for axis, (key, bars) in zip(axes[:, 0], panels.items(), strict=True):
        _panel(axis, results, key, bars)
    walls = [wall for bars in panels.values() for _, wall in bars]
    # Room on the right for the longest annotation, on the left for the shortest bar.
    axes[0, 0].set_xlim(min(0.01, min(walls) / 1.6), max(walls) * 20)
    bottom = axes[-1, 0]
    bottom.set_xlabel(
        "wall time in seconds, log scale; in brackets: against uv + zip, locked, warm"
        "\n(cold: against uv alone, cold); hatched: yardsticks, which make no layer"
    )
    bottom.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    figure.tight_layout(h_pad=0.6)
    figure.savefig(target, transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def _bars(results: dict, key: str) -> list[tuple[str, float]]:
    measured = [
        (name, report.middle(results, key, name, report.WALL)) for name in results["labels"]
    ]
    return [(name, wall) for name, wall in measured if wall is not None]


def _panel(axis, results: dict, key: str, bars: list[tuple[str, float]]) -> None:
    for place, (name, wall) in enumerate(bars):
        ours = name.startswith("accretion")
        yardstick = name in (FLOOR, "uv-cold")
        colour = OURS if ours else YARDSTICK if yardstick else THEIRS
        # Yardsticks make no layer, and look it.
        face = (
            {"color": "none", "edgecolor": colour, "hatch": "////"}
            if yardstick
            else {"color": colour}
        )
        axis.barh(place, wall, height=0.72, linewidth=1 if yardstick else 0, **face)
        note = report.seconds(wall)
        rival = "uv-cold" if name == "accretion-cold" else BASELINE
        against = report.ratio(results, key, rival, name, report.WALL)
        if against is not None and name != BASELINE and not yardstick:
            better = against >= 1
            against = report.times(against if better else 1 / against)
            note += f" ({against} {'faster' if better else 'slower'})"
        axis.text(wall * 1.08, place, note, va="center", fontweight="bold" if ours else "normal",
                  color=OURS if ours else TEXT)  # fmt: skip
    axis.set_yticks(range(len(bars)), [results["labels"][name] for name, _ in bars])
    axis.set_ylim(len(bars) - 0.4, -0.6)
    axis.set_xscale("log")
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.grid(axis="x", which="major", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    described = results["sets"][key]
    names = ", ".join(SETS[key])
    if "unzipped_size" in described:
        names += f" ({report.size(described['unzipped_size'])} unzipped)"
    axis.set_title(f"{key}: {names}", loc="left", fontsize=10.5, fontweight="bold")
