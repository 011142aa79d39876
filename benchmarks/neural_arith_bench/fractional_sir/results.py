"""Rows of the fractional SIR grid, what was published, and the table and the picture that show both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neural_arith.files import whole_file
from neural_arith.plotting import COLORS
from neural_arith_bench.store import Store

HIDDEN = (6, 9, 12, 15, 20)
BETAS = (0.0, 0.01, 0.1, 1.0)
PROTOCOLS = ("published", "accurate", "ours")
TITLES = {"npu": "NPU", "real_npu": "RealNPU", "dense": "Dense", "truth": "true equations", "constant": "constant"}
LEVELS = (0.05, 0.1, 1.0, 10.0)
"""Mean squares below which runs are counted."""


@dataclass(frozen=True)
class SirRow:
    """What one run gave.

    Attributes:
        protocol: "published", "accurate" or "ours".
        unit: "npu", "real_npu" or "dense"; or "truth", the true equations, or "constant", the mean of each state.
        hidden: hidden size; None for the last two, as beta and run.
        beta: strength of the L1 penalty; under "ours", which has none, it only tells runs apart.
        run: its number.
        mse: mean square over 3 states and 40 times, by the protocol's own solver.
        mse_accurate: the same of trajectories by LSODA to 1e-9; infinity where it does not reach the end.
        numbers: parameters above 1e-3 in magnitude.
        exact: whether the formula has the true terms and no others, and every constant within 1 %.
        formula: the formula under "ours", for each state, else empty.
        seconds: computing time; of runs trained as one batch, the batch's time over their number.
        commit: of the code.
    """

    protocol: str
    unit: str
    hidden: int | None
    beta: float | None
    run: int | None
    mse: float
    mse_accurate: float
    numbers: int
    exact: bool
    formula: str
    seconds: float
    commit: str


def rows_in(path: Path | None) -> Store[SirRow]:
    """Rows of the grid.

    Args:
        path: the CSV file, or None to keep nothing.
    """
    return Store(path, ("protocol", "unit", "hidden", "beta", "run"), SirRow)


def ordered(rows: Iterable[SirRow]) -> list[SirRow]:
    """Rows in the order of the table: by protocol, the references first, then by unit."""
    units = ("constant", "truth", *_MARKERS)
    return sorted(rows, key=lambda row: (PROTOCOLS.index(row.protocol), units.index(row.unit)))


@dataclass(frozen=True)
class Published:
    """The 100 runs of one unit, read from the paper's figure.

    Attributes:
        best: lowest mean square.
        numbers: parameters above 1e-3 of that run.
        median: median mean square.
        below: runs below each of `LEVELS`.
    """

    best: float
    numbers: int
    median: float
    below: tuple[int, int, int, int]


PUBLISHED = {
    "npu": Published(0.0153, 136, 0.110, (21, 46, 85, 97)),
    "real_npu": Published(0.0284, 17, 2.16, (3, 3, 20, 66)),
    "dense": Published(0.0322, 76, 0.252, (6, 18, 100, 100)),
}
"""Heim, Pevný and Šmídl, Neural Power Units (NeurIPS 2020), figure of section 4.1. None found the formula."""


def table(rows: Iterable[SirRow]) -> str:
    """A Markdown table: a line for each protocol and unit, the published runs beside those that repeat them.

    Args:
        rows: any rows.
    """
    rows = list(rows)
    lines = [
        "| protocol | unit | runs | best MSE (numbers) | median MSE | <.05 | <.1 | <1 | <10 | median, accurate | <.05 "
        "| exact | s per run |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for protocol, unit in dict.fromkeys((row.protocol, row.unit) for row in rows):
        some = [row for row in rows if (row.protocol, row.unit) == (protocol, unit)]
        if protocol == "published" and unit in PUBLISHED:
            p = PUBLISHED[unit]
            counts = " | ".join(map(str, p.below))
            lines.append(
                f"| paper | {TITLES[unit]} | 100 | {p.best:.3g} ({p.numbers}) | {p.median:.3g} | {counts} | - | - | 0 "
                "| - |"
            )
        best = min(some, key=lambda row: row.mse)
        mse, accurate = (np.array([getattr(row, name) for row in some]) for name in ("mse", "mse_accurate"))
        counts = " | ".join(str(int((mse < level).sum())) for level in LEVELS)
        lines.append(
            f"| {protocol} | {TITLES[unit]} | {len(some)} | {best.mse:.3g} ({best.numbers}) | {np.median(mse):.3g} "
            f"| {counts} | {np.median(accurate):.3g} | {int((accurate < LEVELS[0]).sum())} "
            f"| {sum(row.exact for row in some)} | {np.median([row.seconds for row in some]):.1f} |"
        )
    return "\n".join(lines)


_LOWEST, _HIGHEST = 1e-16, 1e4
_TICKS = (10, 20, 50, 100, 200, 500)
_MARKERS = {"npu": "o", "real_npu": "d", "dense": "p"}


def draw(path: Path, rows: Sequence[SirRow]) -> None:
    """Draw a panel for each protocol that has rows.

    Args:
        path: of the SVG file.
        rows: the rows; those off the scale stand at its edge.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    present = [protocol for protocol in PROTOCOLS if any(row.protocol == protocol for row in rows)]
    figure = Figure(figsize=(3.6 * len(present) + 0.8, 3.4), layout="constrained")
    axes = figure.subplots(1, len(present), sharex=True, sharey=True, squeeze=False)[0]
    for ax, protocol in zip(axes, present, strict=True):
        own = [row for row in rows if row.protocol == protocol]
        for color, unit in zip(COLORS, _MARKERS, strict=False):
            runs = [row for row in own if row.unit == unit]
            heights = [min(max(row.mse, _LOWEST), _HIGHEST) for row in runs]
            if runs:
                ax.scatter(
                    [row.numbers for row in runs],
                    heights,
                    color=color,
                    marker=_MARKERS[unit],
                    s=24,
                    alpha=0.4,
                    linewidth=0,
                    label=TITLES[unit],
                )
            if runs and protocol == "published":
                best = PUBLISHED[unit]
                label = f"{TITLES[unit]}, paper's best"
                ax.plot(best.numbers, best.best, _MARKERS[unit], color="none", markeredgecolor=color, label=label)
        for row in own:
            if row.unit == "truth" and row.mse > _LOWEST:
                ax.axhline(row.mse, color="0.4", linestyle="--", linewidth=0.8)
                ax.annotate(
                    "true equations", (0.02, row.mse), xycoords=("axes fraction", "data"), fontsize=7, va="bottom"
                )
        ax.set(title=protocol, xlabel="parameters above 1e-3", xscale="log", yscale="log")
        ax.set_ylim(_LOWEST / 3, _HIGHEST * 3)
        ax.set_xticks(_TICKS, [str(tick) for tick in _TICKS])
        ax.minorticks_off()
        if any(row.unit in _MARKERS for row in own):
            ax.legend(fontsize=7)
    axes[0].set_ylabel("MSE (own solver)")
    with whole_file(path) as draft:
        figure.savefig(draft, metadata={"Date": None})
