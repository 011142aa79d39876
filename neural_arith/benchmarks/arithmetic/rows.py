"""Results of the experiments on arithmetic: one row for each run, in a CSV file that is written whole or not at all.

Beside ``NAME.csv`` stands ``NAME.json`` with the commands that made the rows, their commits and versions.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neural_arith.benchmarks.record import provenance
from neural_arith.errors import DataError

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


COLUMNS = tuple(field.name for field in dataclasses.fields(Row))


class RowFile:
    """Rows by their key, kept in a file if there is one.

    Args:
        path: the CSV file, or None to keep nothing.

    Attributes:
        rows: by key, in the order in which they came.

    Raises:
        DataError: the folder cannot be made, or a file is there that holds no such rows.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: dict[Key, Row] = {}
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self.rows = {row.key: row for row in _read(path)}
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}; choose another folder") from None

    def add(self, rows: Iterable[Row], command: str) -> None:
        """Add rows, in place of those with the same key, and write the file.

        Args:
            rows: the rows.
            command: the command line that made them, without paths of this machine.

        Raises:
            DataError: the file cannot be written.
        """
        self.rows |= {row.key: row for row in rows}
        if self.path is None:
            return
        made_by, origin = provenance(command), self.path.with_suffix(".json")
        try:
            known = json.loads(origin.read_text(encoding="utf-8"))["made_by"] if origin.exists() else []
            kept = [*(entry for entry in known if entry != made_by), made_by]
            _replace(origin, json.dumps({"made_by": kept}, indent=1) + "\n")
            _replace(self.path, _text(self.rows.values()))
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{origin} does not hold the origin of rows; move it away") from None
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror}; choose another folder") from None


def _text(rows: Iterable[Row]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(dataclasses.astuple(row) for row in rows)  # None as nothing, floats so that they read back exactly
    return buffer.getvalue()


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(path.suffix + ".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _read(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            if tuple(table.fieldnames or ()) != COLUMNS:
                raise ValueError("other columns")
            return [_row(cells) for cells in table]
    except (ValueError, KeyError, TypeError, csv.Error):
        raise DataError(
            f"{path} does not hold rows of a benchmark (columns {', '.join(COLUMNS)}); move it away"
        ) from None


def _row(cells: dict[str, str]) -> Row:
    return Row(
        cells["model"],
        cells["op"],
        cells["range"],
        int(cells["seed"]),
        {"": None, "True": True, "False": False}[cells["success"]],
        int(cells["solved_at"]) if cells["solved_at"] else None,
        float(cells["sparsity_error"]) if cells["sparsity_error"] else None,
        float(cells["extrapolation_error"]),
        float(cells["seconds"]),
        int(cells["steps"]),
        cells["commit"],
    )
