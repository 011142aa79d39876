"""Tables of an experiment: ours, with intervals, beside the published numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from neural_arith.benchmarks.arithmetic import intervals
from neural_arith.benchmarks.arithmetic.experiments import Experiment
from neural_arith.benchmarks.arithmetic.published import Published, published
from neural_arith.benchmarks.arithmetic.rows import Row

__all__ = ["published_number", "table"]

HEADER = ("model", "seeds", "solved", "error", "solved at", "sparsity", "published", "steps", "s/seed")


def table(experiment: Experiment, op: str, setting: str, rows: Sequence[Row]) -> str:
    """One cell of the experiment as a Markdown table, one line for each model.

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
    bar = experiment.task(op, setting).threshold()
    kind = f"mean {experiment.error} error, {_middle(experiment)[0]}"
    title = f"{experiment.name} {op}, {setting}: {kind}" + ("" if bar is None else f", bar {bar:.3g}")
    return "\n".join([title, *(f"| {line} |" for line in text)])


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


def _middle(experiment: Experiment) -> tuple[str, Callable[[np.ndarray], float]]:
    """The literature's average over seeds: means for the simple task, medians elsewhere."""
    return ("mean", np.mean) if experiment.joint else ("median", np.median)


def _line(experiment: Experiment, op: str, setting: str, rows: Sequence[Row]) -> tuple[str, ...]:
    errors = np.array([row.extrapolation_error for row in rows])
    steps = sorted({row.steps for row in rows})
    return (
        rows[0].model,
        str(len(rows)),
        _rate(rows),
        f"{_middle(experiment)[1](errors):.3g}",
        _solved_at(rows),
        _sparsity(rows),
        _published(published_number(experiment, op, setting, rows[0].model)),
        ", ".join(map(str, steps)),
        f"{np.mean([row.seconds for row in rows]):.2g}",
    )


def _rate(rows: Sequence[Row]) -> str:
    if any(row.success is None for row in rows):
        return "-"
    solved = sum(bool(row.success) for row in rows)
    low, high = intervals.wilson(solved, len(rows))
    return f"{100 * solved / len(rows):.0f} % ({100 * float(low):.0f}-{100 * float(high):.0f})"


def _solved_at(rows: Sequence[Row]) -> str:
    steps = [max(1, row.solved_at) for row in rows if row.success and row.solved_at is not None]
    return _interval(intervals.gamma(np.array(steps, dtype=float))) if steps else "-"


def _sparsity(rows: Sequence[Row]) -> str:
    counted = [row for row in rows if row.success is not False]
    found = [row.sparsity_error for row in counted if row.sparsity_error is not None]
    if not found or max(found) > 0.5 or not all(map(math.isfinite, found)):
        return f"{np.median(found):.2g}" if found else "-"
    return _interval(intervals.beta(np.array(found)))


def _interval(value: intervals.Interval) -> str:
    ends = "" if math.isnan(value.low) else f" ({value.low:.2g}-{value.high:.2g})"
    return f"{value.mean:.2g}{ends}"


def _published(entry: Published | None) -> str:
    if entry is None:
        return "-"
    if "success rate" in entry.metric:
        return f"{100 * entry.value:.0f} %" + (" over all" if "over" in entry.metric else "")
    return f"{entry.value:.3g}" + ("" if entry.spread is None else f" +- {entry.spread:.2g}")
