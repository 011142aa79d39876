"""Results of the experiments on arithmetic: one row for each run, in a CSV file that is written whole or not at all.

Beside ``NAME.csv`` stands ``NAME.json`` with the commands that made the rows, their commits and versions.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Hashable, Iterable
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_type_hints

from neural_arith.errors import DataError
from neural_arith.files import locked, write_text
from neural_arith_bench.record import provenance

__all__ = ["Keyed", "TableFile"]


class Keyed(Protocol):
    """What a row is to its file: a dataclass of words, numbers and truth values, None where there is nothing to say."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def key(self) -> Hashable:
        """What no two rows of a file share."""
        ...


R = TypeVar("R", bound=Keyed)


class TableFile(Generic[R]):
    """Rows by their key, kept in a file if there is one.

    Args:
        path: the CSV file, or None to keep nothing.
        kind: the dataclass of the rows.

    Attributes:
        rows: by key, in the order in which they came.

    Raises:
        DataError: the folder cannot be made, or a file is there that holds no such rows.
    """

    def __init__(self, path: Path | None, kind: type[R]) -> None:
        self.path = path
        self.rows: dict[Hashable, R] = {}
        self._kind = kind
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self.rows = {row.key: row for row in _read(path, kind)}
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}; choose another folder") from None

    def add(self, rows: Iterable[R], command: str) -> None:
        """Add rows, in place of those with the same key, and write the file; rows of other processes stay.

        Args:
            rows: the rows.
            command: the command line that made them, without paths of this machine.

        Raises:
            DataError: the file cannot be written.
        """
        new = {row.key: row for row in rows}
        self.rows |= new
        if self.path is None:
            return
        made_by, origin = provenance(command), self.path.with_suffix(".json")
        with locked(self.path):  # another process may have added rows since
            there = {row.key: row for row in _read(self.path, self._kind)} if self.path.exists() else {}
            self.rows |= there | new
            try:
                known = json.loads(origin.read_text(encoding="utf-8"))["made_by"] if origin.exists() else []
            except (ValueError, KeyError, TypeError):
                raise DataError(f"{origin} does not hold the origin of rows; move it away") from None
            kept = [*(entry for entry in known if entry != made_by), made_by]
            write_text(origin, json.dumps({"made_by": kept}, indent=1) + "\n")
            write_text(self.path, _text(self.rows.values(), self._kind))


def _columns(kind: type[Keyed]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _text(rows: Iterable[Keyed], kind: type[Keyed]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_columns(kind))
    writer.writerows(dataclasses.astuple(row) for row in rows)  # None as nothing, floats so that they read back exactly
    return buffer.getvalue()


def _read(path: Path, kind: type[R]) -> list[R]:
    hints = get_type_hints(kind)
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            if tuple(table.fieldnames or ()) != _columns(kind):
                raise ValueError("other columns")
            return [kind(**{name: _value(cells[name], hints[name]) for name in _columns(kind)}) for cells in table]
    except (ValueError, KeyError, TypeError, csv.Error):
        raise DataError(
            f"{path} does not hold rows of this benchmark (columns {', '.join(_columns(kind))}); move it away"
        ) from None


def _value(cell: str, hint: Any) -> Any:
    types = get_args(hint) or (hint,)
    if not cell and NoneType in types:
        return None
    (plain,) = (t for t in types if t is not NoneType)
    return {"True": True, "False": False}[cell] if plain is bool else plain(cell)
