"""The picture of the fractional SIR grid: mean square against number of parameters, as in the paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neural_arith.files import whole_file
from neural_arith.plotting import COLORS
from neural_arith_bench.arithmetic.fractional_sir_rows import PROTOCOLS, PUBLISHED, TITLES, SirRow

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
