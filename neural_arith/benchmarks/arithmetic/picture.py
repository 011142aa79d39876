"""A picture of an experiment: the error of every run, by model and operation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neural_arith.benchmarks.arithmetic.experiments import Experiment
from neural_arith.benchmarks.arithmetic.reference_rows import REFERENCES
from neural_arith.benchmarks.arithmetic.rows import Row
from neural_arith.benchmarks.arithmetic.summary import published_number
from neural_arith.plotting import COLORS

__all__ = ["draw"]

_LEAST, _MOST = 1e-34, 1e12
"""Errors outside are drawn at the edge."""


def draw(experiment: Experiment, ops: Sequence[str], rows: Sequence[Row], path: Path) -> None:
    """Write the picture: one panel for each operation, a dot for each run, bars and published medians as lines.

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
    figure = Figure(figsize=(1.5 + 0.4 * len(models) * len(ops), 4.5), layout="constrained")
    panels = figure.subplots(1, len(ops), sharey=True, squeeze=False)[0]
    for panel, op in zip(panels, ops, strict=True):
        settings = [*dict.fromkeys(row.range for row in rows if row.op == op)]
        for place, model in enumerate(models):
            own = [row for row in rows if (row.op, row.model) == (op, model)]
            errors = np.clip([row.extrapolation_error for row in own], _LEAST, _MOST)
            spread = place + np.linspace(-0.3, 0.3, len(own)) if len(own) > 1 else [place]
            colour = COLORS[0] if model not in REFERENCES else COLORS[2] if model == REFERENCES[0] else "0.5"
            panel.plot(spread, errors, ".", color=colour, markersize=4)
            for setting in settings:
                known = published_number(experiment, op, setting, model)
                if known is not None and "error" in known.metric:
                    panel.plot([place - 0.4, place + 0.4], [known.value] * 2, color=COLORS[1])
        bars = {experiment.task(op, setting).threshold() for setting in settings} - {None}
        if bars:
            panel.axhspan(_LEAST, max(bar for bar in bars if bar is not None), color="0.93", zorder=0)
        panel.set(yscale="log", title=op, xticks=range(len(models)))
        panel.set_xticklabels(models, rotation=90)
    panels[0].set_ylabel(f"extrapolation error (mean {experiment.error})")
    figure.suptitle(f"{experiment.name}: runs (dots), published (lines), solved (grey)", fontsize="medium")
    draft = path.with_name(f".{path.stem}.part{path.suffix}")
    figure.savefig(draft, dpi=150)
    draft.replace(path)
