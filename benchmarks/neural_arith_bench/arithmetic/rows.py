"""Results of the experiments on arithmetic: one row for each run, in a CSV file that is written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neural_arith.errors import OptionError
from neural_arith_bench.arithmetic.table_file import TableFile

__all__ = ["Key", "Row", "RowFile"]

Key = tuple[str, str, str, int]
"""Model, operation, range, seed."""


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

    @property
    def key(self) -> Key:
        """What no two rows of a file share."""
        return self.model, self.op, self.range, self.seed


class RowFile(TableFile[Row]):
    """Rows by their key, kept in a file if there is one.

    Args:
        path: the CSV file, or None to keep nothing.

    Raises:
        DataError: the folder cannot be made, or a file is there that holds no such rows.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, Row)

    def made(self, keys: Iterable[Key], steps: int) -> list[Row]:
        """Those of some rows that are there.

        Args:
            keys: of the rows.
            steps: training steps that they must have taken.

        Raises:
            OptionError: a row was made with another number of steps; it is not replaced without a word.
        """
        found = [self.rows[key] for key in keys if key in self.rows]
        for row in found:
            if row.steps != steps:
                raise OptionError(
                    f"{self.path} has rows of {row.steps} training steps for {row.model}, this command makes rows of "
                    f"{steps}; give the same --budget or another --out"
                )
        return found
