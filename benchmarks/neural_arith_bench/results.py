"""The rows of one suite at one setting, kept in a file if there is one."""

from __future__ import annotations

import json
from pathlib import Path

from neural_arith.errors import DataError
from neural_arith_bench.record import add_row, commit, read_rows
from neural_arith_bench.suites import Row
from neural_arith_bench.tables import summary

Key = tuple[str, int, int]
"""Method, number of the system, seed."""

_PACKAGES = ("pysindy", "pyoperon")


class ResultFile:
    """Rows by their key, written whole after each new one; other processes may add to the same file.

    Args:
        suite: "odebench" or "powerlaw".
        noise: relative noise.
        drop: share of the samples dropped.
        points: number of samples, None for each system's own.
        folder: where the file is; None to keep nothing.

    Raises:
        DataError: the folder cannot be made, or the file is there and cannot be read.
    """

    def __init__(self, suite: str, noise: float, drop: float, points: int | None, folder: Path | None) -> None:
        own = "" if points is None else f"_points_{points}"
        self.path = None if folder is None else folder / f"{suite}_noise_{noise:g}_drop_{drop:g}{own}.json"
        self.rows: dict[Key, Row] = {}
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.rows = {_key(row): row for row in read_rows(self.path)}
        except OSError as error:
            raise DataError(f"--out {folder}: {error.strerror}: {error.filename}; choose another folder") from None
        except (json.JSONDecodeError, KeyError, TypeError):
            raise DataError(f"{self.path} does not hold rows of a benchmark; move it away") from None

    def add(self, row: Row, command: str) -> None:
        """Add a row and write the file.

        Args:
            row: the row; it gets the commit that made it, for rows of one file may come from several.
            command: what made it.
        """
        made = row | {"commit": commit()}
        self.rows[_key(row)] = made
        if self.path is not None:
            rows = add_row(self.path, command, made, _key, summary, packages=_PACKAGES, quiet=True)
            self.rows |= {_key(one): one for one in rows}


def _key(row: Row) -> Key:
    return row["method"], row["id"], row["seed"]
