"""A picture of an experiment: the error of every run, by model and operation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neural_arith.files import whole_file
from neural_arith.plotting import COLORS
from neural_arith_bench.arithmetic.experiments import Experiment
from neural_arith_bench.arithmetic.reference_rows import REFERENCES
from neural_arith_bench.arithmetic.rows import Row
from neural_arith_bench.arithmetic.summary import published_number

__all__ = ["draw"]

_WIDTH = 11
"""Of a line of panels, in inches."""

_LEAST, _MOST = 1e-34, 1e12
"""Errors outside are drawn at the edge."""


def draw(experiment: Experiment, ops: Sequence[str], rows: Sequence[Row], path: Path) -> None:
    """Write the picture: one panel for each operation, a dot for each run, published errors as lines.

    Runs that have a bar and miss it are open dots; below the grey edge every run is solved, whatever its setting.

    Args:
        experiment: which.
        ops: operations, one panel each.
        rows: the runs.
        path: the file; the type follows from its ending.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    models = [*dict.fromkeys(row.model for row in rows)]
    width = 0.6 + 0.22 * len(models)
    lines = -(-len(ops) // max(1, int(_WIDTH // width)))
    columns = -(-len(ops) // lines)
    figure = Figure(figsize=(0.5 + max(4.0, columns * width), 0.3 + 3.6 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for panel in grid.flat[len(ops) :]:
        panel.set_axis_off()
    for number, (panel, op) in enumerate(zip(grid.flat, ops, strict=False)):
        settings = [*dict.fromkeys(row.range for row in rows if row.op == op)]
        for place, model in enumerate(models):
            own = [row for row in rows if (row.op, row.model) == (op, model)]
            errors = np.clip([row.extrapolation_error for row in own], _LEAST, _MOST)
            missed = np.array([row.success is False for row in own], dtype=bool)
            spread = place + (np.linspace(-0.3, 0.3, len(own)) if len(own) > 1 else np.zeros(len(own)))
            colour = COLORS[0] if model not in REFERENCES else COLORS[2] if model == REFERENCES[0] else "0.5"
            panel.plot(spread[~missed], errors[~missed], ".", color=colour, markersize=4)
            panel.plot(spread[missed], errors[missed], "o", color=colour, markersize=2.5, mfc="none", mew=0.5)
            for setting in settings:
                known = published_number(experiment, op, setting, model)
                if known is not None and "error" in known.metric:
                    panel.plot([place - 0.4, place + 0.4], [known.value] * 2, color=COLORS[1])
        bars = {experiment.task(op, setting).threshold() for setting in settings} - {None}
        if bars:
            panel.axhspan(_LEAST, min(bar for bar in bars if bar is not None), color="0.93", zorder=0)
        names = models if number + columns >= len(ops) else [""] * len(models)
        panel.set(yscale="log", title=op, xticks=range(len(models)))
        panel.set_xticklabels(names, rotation=90)
    figure.supylabel(f"extrapolation error (mean {experiment.error})", fontsize="medium")
    figure.suptitle(f"{experiment.name}: runs (dots, open if not solved), published (lines)", fontsize="medium")
    with whole_file(path) as draft:
        figure.savefig(draft, dpi=150)
