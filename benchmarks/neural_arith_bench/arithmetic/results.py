"""Tables and pictures of an experiment: ours, with intervals, beside the published numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from neural_arith.files import whole_file
from neural_arith.plotting import COLORS
from neural_arith_bench.arithmetic import scores
from neural_arith_bench.arithmetic.experiments import Experiment
from neural_arith_bench.arithmetic.models import MODELS
from neural_arith_bench.arithmetic.published import Published, published
from neural_arith_bench.arithmetic.references import REFERENCES
from neural_arith_bench.arithmetic.rows import Row

HEADER = ("model", "seeds", "solved", "median", "mean", "solved at", "sparsity", "published", "steps", "s/seed")


def title(experiment: Experiment, op: str, setting: str) -> str:
    """Of one cell: what, the error in use, and the bar."""
    bar = experiment.task(op, setting).threshold()
    kind = f"{experiment.name} {op}, {setting}: mean {experiment.error} error"
    return kind + ("" if bar is None else f", solved below {bar:.3g}")


def table(experiment: Experiment, op: str, setting: str, rows: Sequence[Row]) -> str:
    """One cell of the experiment as a Markdown table, one line for each model.

    The errors are median and mean over seeds; steps are those taken and their share of the published number, for models
    that are not trained the batches that they read.

    Args:
        experiment: which.
        op: the operation.
        setting: name of the setting.
        rows: its rows; others are left out.
    """
    lines = [HEADER, *(_line(experiment, op, setting, own) for own in _by_model(op, setting, rows))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    text = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    text.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in text)


def share_of_steps(experiment: Experiment, row: Row) -> float | None:
    """Steps taken as a share of the published number; None for models that are not trained."""
    if row.model in REFERENCES:
        return None
    known = MODELS[experiment.name].get(row.model)
    usual = experiment.steps(experiment.task(row.op, row.range))
    return row.steps / (usual if known is None else known.steps.get(row.op, usual))


def published_number(experiment: Experiment, op: str, setting: str, model: str) -> Published | None:
    """What the literature has for one cell: a success rate where there is a bar, else an error; None if nothing."""
    if experiment.family is None:
        return None
    names = [experiment.task(op, setting).name, f"{op}-{setting}"]
    plain = setting == experiment.usual[0] and len(experiment.usual) == 1
    names += [op] if plain else []
    names += [f"{op}-{experiment.task(op, setting).in_features}"]
    for name in names:
        for entry in published(experiment.family, name):
            wanted = "success rate" in entry.metric or entry.metric.startswith("extrapolation mean")
            if entry.model == model and wanted:
                return entry
    return None


def _by_model(op: str, setting: str, rows: Sequence[Row]) -> list[list[Row]]:
    own = [row for row in rows if (row.op, row.range) == (op, setting)]
    return [[row for row in own if row.model == model] for model in dict.fromkeys(row.model for row in own)]


def middle(experiment: Experiment) -> tuple[str, Callable[[np.ndarray], float]]:
    """The literature's average over seeds: means for the simple task, medians elsewhere."""
    return ("mean", np.mean) if experiment.joint else ("median", np.median)


def _line(experiment: Experiment, op: str, setting: str, rows: Sequence[Row]) -> tuple[str, ...]:
    errors = np.array([row.extrapolation_error for row in rows])
    steps = {f"{row.steps}{_share(experiment, row)}": None for row in rows}
    return (
        rows[0].model,
        str(len(rows)),
        rate(rows),
        f"{np.median(errors):.3g}",
        f"{np.mean(errors):.3g}",
        _solved_at(rows),
        _sparsity(rows),
        published_text(published_number(experiment, op, setting, rows[0].model)),
        ", ".join(steps),
        f"{np.mean([row.seconds for row in rows]):.2g}",
    )


def _share(experiment: Experiment, row: Row) -> str:
    share = share_of_steps(experiment, row)
    return "" if share is None else f" ({100 * share:.3g} %)"


def rate(rows: Sequence[Row]) -> str:
    """The share of runs that were solved with Wilson's interval, in percent; ``-`` where there is no bar."""
    if not rows or any(row.success is None for row in rows):
        return "-"
    solved = sum(bool(row.success) for row in rows)
    low, high = scores.wilson(solved, len(rows))
    return f"{100 * solved / len(rows):.0f} % ({100 * float(low):.0f}-{100 * float(high):.0f})"


def _solved_at(rows: Sequence[Row]) -> str:
    steps = [max(1, row.solved_at) for row in rows if row.success and row.solved_at is not None]
    return _interval(scores.gamma(np.array(steps, dtype=float))) if steps else "-"


def _sparsity(rows: Sequence[Row]) -> str:
    counted = [row for row in rows if row.success is not False]
    found = [row.sparsity_error for row in counted if row.sparsity_error is not None]
    if not found or max(found) > 0.5 or not all(map(math.isfinite, found)):
        return f"{np.median(found):.2g}" if found else "-"
    return _interval(scores.beta(np.array(found)))


def _interval(value: scores.Interval) -> str:
    ends = "" if math.isnan(value.low) else f" ({value.low:.2g}-{value.high:.2g})"
    return f"{value.mean:.2g}{ends}"


def published_text(entry: Published | None) -> str:
    """A published number as it stands in a table, ``-`` for none."""
    if entry is None:
        return "-"
    if "success rate" in entry.metric:
        return f"{100 * entry.value:.0f} %" + (" over all" if "over" in entry.metric else "")
    return f"{entry.value:.3g}" + ("" if entry.spread is None else f" +- {entry.spread:.2g}")


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
