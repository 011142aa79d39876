"""Courses of training to rows, the bar that counts as solved, the table and picture beside the published numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from neural_arith.files import whole_file
from neural_arith.plotting import COLORS, color
from neural_arith_bench.arithmetic.published import published
from neural_arith_bench.arithmetic.rows import Row
from neural_arith_bench.arithmetic.scores import solved_at, wilson
from neural_arith_bench.digits.models import REFERENCE
from neural_arith_bench.digits.sequences import SequenceTask
from neural_arith_bench.digits.training import Course
from neural_arith_bench.store import commit

LEVEL, FREEDOM = 0.99, 8
"""Of the one-sided bound; the authors' script has eight degrees of freedom whatever the number of seeds."""

_READS = 0.5
"""A reference has learned to read if its error on single digits is below this share of what blind answers have."""


def bars(rows: Iterable[Row], task: SequenceTask, constant: float) -> dict[int, float]:
    """The error by length below which a model counts as successful.

    ``mean + t s / sqrt(n)`` of the reference's test errors, t the 99 % quantile of Student's distribution, over those
    seeds that learned to read (of the authors' ten, seven in products): others may read every digit with the wrong
    sign, which products of two do not notice, so single digits tell.

    Args:
        rows: of the reference, length 1 among them.
        task: what the sequences come to.
        constant: least test error of answers to single digits without looking.

    Returns:
        nan where fewer than two references learned to read.
    """
    own = [row for row in rows if row.model == REFERENCE and row.op == task.operation]
    near = {row.seed: row.extrapolation_error for row in own if row.range == "1"}
    reads = {seed for seed, error in near.items() if error < _READS * constant}
    errors: dict[int, list[float]] = {}
    for row in own:
        errors.setdefault(int(row.range), []).extend([row.extrapolation_error] if row.seed in reads else [])
    return {length: _bound(np.asarray(values)) for length, values in errors.items()}


def rows_of(
    course: Course, task: SequenceTask, model: str, seeds: Sequence[int], lengths: Sequence[int], steps: int
) -> list[Row]:
    """The rows of one model without judgement: errors where the validation error is lowest.

    Args:
        course: of training.
        task: what the sequences come to.
        model: its name.
        seeds: the course's.
        lengths: the course's.
        steps: of training.
    """
    best = course.best()
    made = []
    for member, seed in enumerate(seeds):
        sparsity = float(course.sparsity[best[member], member])
        for place, length in enumerate(lengths):
            made.append(
                Row(
                    model=model,
                    op=task.operation,
                    range=str(length),
                    seed=seed,
                    success=None,
                    solved_at=None,
                    sparsity_error=None if np.isnan(sparsity) else sparsity,
                    extrapolation_error=float(course.test[best[member], member, place]),
                    seconds=round(course.seconds, 2),
                    steps=steps,
                    commit=commit(),
                )
            )
    return made


def judged(rows: Sequence[Row], course: Course, seeds: Sequence[int], bar: Mapping[int, float]) -> list[Row]:
    """The rows of a course with success and the step at which the test error was first below the bar.

    Args:
        rows: of `rows_of`.
        course: of training.
        seeds: the course's.
        bar: by length; nan where there is none.
    """
    lengths = list(dict.fromkeys(int(row.range) for row in rows))
    done = []
    for row in rows:
        error = bar[int(row.range)]
        if np.isnan(error):
            done.append(row)
            continue
        errors = course.test[:, list(seeds).index(row.seed), lengths.index(int(row.range))]
        share = solved_at(errors, course.epochs, error) / course.epochs[-1]
        step = None if np.isnan(share) else round(float(share) * row.steps)
        done.append(replace(row, success=row.extrapolation_error < error, solved_at=step))
    return done


def table(rows: Iterable[Row], task: SequenceTask, bar: Mapping[int, float], constant: Mapping[int, float]) -> str:
    """Success rates as a Markdown table: lengths down, models across, "ours (published)".

    Args:
        rows: any; those of the task are taken.
        task: what the sequences come to.
        bar: the test error to stay below, by length.
        constant: the least test error of answers that only depend on the step, by length.
    """
    own = [row for row in rows if row.op == task.operation]
    models = list(dict.fromkeys(row.model for row in own))
    cells = [["length", "bar", "constant", *models]]
    for length in sorted({int(row.range) for row in own}):
        printed = {p.model: p.value for p in published("sequential_digits", f"{task.operation}-{length}")}
        line = [str(length), f"{bar.get(length, np.nan):.3g}", f"{constant[length]:.3g}"]
        for model in models:
            found = [row.success for row in own if row.model == model and row.range == str(length)]
            line.append(_rate(found) + (f" ({printed[model]:.1f})" if model in printed else ""))
        cells.append(line)
    total = ["all", "", ""]
    for model in models:
        found = [row for row in own if row.model == model and row.success is not None]
        total.append(_overall(found) if found else "-")
    cells.append(total)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f"| {' | '.join(c.rjust(w) for c, w in zip(line, widths, strict=True))} |" for line in cells]
    lines.insert(1, f"| {' | '.join('-' * (w - 1) + ':' for w in widths)} |")
    return "\n".join(lines)


def _bound(errors: np.ndarray) -> float:
    if len(errors) < 2:
        return float("nan")
    quantile = float(stats.t.ppf(LEVEL, FREEDOM))
    return float(errors.mean() + quantile * errors.std(ddof=1) / np.sqrt(len(errors)))


def _rate(found: Sequence[bool | None]) -> str:
    known = [one for one in found if one is not None]
    return f"{np.mean(known):.2f}" if known else "-"


def _overall(rows: Sequence[Row]) -> str:
    """The share of seeds that succeed at every length, with Wilson's 95 % interval."""
    seeds = {row.seed for row in rows}
    good = len(seeds - {row.seed for row in rows if not row.success})
    low, high = wilson(good, len(seeds))
    return f"{good / len(seeds):.2f} [{low:.2f}, {high:.2f}]"


def draw(rows: Iterable[Row], path: Path) -> None:
    """Success rates by length, one panel for each operation; the published ones dotted.

    Args:
        rows: with judgement.
        path: of the picture; its ending says the format.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure

    kept = [row for row in rows if row.success is not None]
    operations = list(dict.fromkeys(row.op for row in kept))
    figure = Figure(figsize=(1 + 5 * max(1, len(operations)), 3.8), layout="constrained")
    axes = figure.subplots(1, max(1, len(operations)), squeeze=False)[0]
    for ax, operation in zip(axes, operations, strict=False):
        own = [row for row in kept if row.op == operation]
        lengths = sorted({int(row.range) for row in own})
        printed = {n: {p.model: p.value for p in published("sequential_digits", f"{operation}-{n}")} for n in lengths}
        for place, model in enumerate(dict.fromkeys(row.model for row in own)):
            by_length = {n: [r.success for r in own if r.model == model and r.range == str(n)] for n in lengths}
            known = [n for n in lengths if by_length[n]]
            style: dict[str, Any] = {"color": color(place % len(COLORS)), "lw": 1.2}
            shape = "os^v"[place // len(COLORS)]
            ax.plot(
                known,
                [np.mean([bool(one) for one in by_length[n]]) for n in known],
                marker=shape,
                ms=3,
                label=model,
                **style,
            )
            said = [n for n in lengths if model in printed[n]]
            ax.plot(said, [printed[n][model] for n in said], ls=":", **style)
        ax.set(title=f"{operation} of digits", xlabel="digits in the sequence", ylim=(-0.04, 1.04))
        ax.legend(fontsize=7, ncols=2)
    axes[0].set_ylabel("success (published: dotted)")
    with whole_file(path) as draft:
        figure.savefig(draft, dpi=150)
