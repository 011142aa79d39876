"""Rows of the experiments on arithmetic: one for each run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neural_arith.errors import OptionError
from neural_arith_bench.store import Key, Store


@dataclass(frozen=True)
class Row:
    """What one run gave.

    Attributes:
        model: what was fitted.
        op: the operation, or other part of the experiment.
        range: of the training inputs, or other setting.
        seed: of initial weights and data.
        success: whether the extrapolation error is below the bar; None where there is no bar.
        solved_at: first logged step below the bar; None where there is no bar or no such step.
        sparsity_error: largest distance of a weight's size to 0 or 1; None where there are no weights.
        extrapolation_error: in the metric of the experiment, at the step of the lowest validation error.
        seconds: computing time of this run; of runs trained as one batch, the batch's time over their number.
        steps: training steps taken.
        commit: of the code.
    """

    model: str
    op: str
    range: str
    seed: int
    success: bool | None
    solved_at: int | None
    sparsity_error: float | None
    extrapolation_error: float
    seconds: float
    steps: int
    commit: str


def rows_in(path: Path | None) -> Store[Row]:
    """Rows of one experiment.

    Args:
        path: the CSV file, or None to keep nothing.
    """
    return Store(path, ("model", "op", "range", "seed"), Row)


def check_steps(store: Store[Row], keys: Iterable[Key], steps: int) -> None:
    """Check that no row would be replaced without a word by one of another training.

    Args:
        store: the rows.
        keys: of those that are about to be made.
        steps: training steps that they will have taken.

    Raises:
        OptionError: one that is there was made with another number of steps.
    """
    for row in (store.rows[key] for key in keys if key in store.rows):
        if row.steps != steps:
            raise OptionError(
                f"{store.path} has rows of {row.steps} training steps for {row.model}, this command makes rows of "
                f"{steps}; give the same --budget or another --out"
            )
