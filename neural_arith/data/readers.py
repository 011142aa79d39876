"""Tables of numbers, from a CSV file or a data frame, sorted into time, states, inputs and runs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from neural_arith.data.checks import MISSING_WORDS, find_columns, to_floats, to_number
from neural_arith.errors import DataError

_DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 50_000  # rows held as text at once


@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a table by their role.

    Attributes:
        time: shape ``(rows,)``.
        states: shape ``(rows, states)``.
        inputs: shape ``(rows, inputs)``.
        labels: one label per run, in order of first appearance; ``("",)`` where there is no group column.
        codes: for each row the number of its run, shape ``(rows,)``.
        names: state names; input_names, time_name: likewise.
    """

    time: np.ndarray
    states: np.ndarray
    inputs: np.ndarray
    labels: tuple[str, ...]
    codes: np.ndarray
    names: tuple[str, ...]
    input_names: tuple[str, ...]
    time_name: str


@dataclass(frozen=True)
class _Roles:
    time: Any
    states: list[Any]
    inputs: list[Any]
    group: Any | None


def read_frame(
    frame: Any, *, time: Any, states: Iterable[Any] | None, inputs: Iterable[Any], group: Any | None
) -> Table:
    """Read a data frame: anything with ``frame.columns`` and ``frame[column]`` (pandas, polars).

    Args:
        frame: the data frame.
        time: the time column.
        states: the state columns; None for all that have no other role.
        inputs: the input columns.
        group: the column that tells runs apart, or None.

    Returns:
        The table.

    Raises:
        DataError: a column is unknown or named twice, or a cell is no number.
    """
    if not hasattr(frame, "columns") or not hasattr(frame, "__getitem__"):
        raise DataError(f"expected a data frame, got {type(frame).__name__}; from_arrays takes arrays")
    present = list(frame.columns)
    _refuse_duplicates(present)
    roles = _assign(present, time, states, inputs, group)

    def column(name: Any) -> np.ndarray:
        return to_floats(_cells(frame[name]), f"column {name!r}")

    groups = None if roles.group is None else list(_cells(frame[roles.group]))
    return _table(roles, {name: column(name) for name in [roles.time, *roles.states, *roles.inputs]}, groups)


def _cells(series: Any) -> Any:
    """Unpack pandas and polars columns without importing either; nullable columns keep their gaps."""
    return series.to_numpy() if hasattr(series, "to_numpy") else np.asarray(series)


def read_csv(
    path: str | os.PathLike[str],
    *,
    time: str | None,
    states: Iterable[str] | None,
    inputs: Iterable[str],
    group: str | None,
) -> Table:
    """Read a delimited text file (comma, semicolon, tab or bar; UTF-8 with or without a byte-order mark).

    The first line names the columns. Empty cells, ``NA``, ``NaN``, ``null`` and ``None`` are missing values;
    lines without any content are skipped. Columns that have no role may hold text.

    Args:
        path: the file.
        time: the time column; None for the first one.
        states: the state columns; None for all that have no other role.
        inputs: the input columns.
        group: the column that tells runs apart, or None.

    Returns:
        The table.

    Raises:
        DataError: the file cannot be read, a column is unknown or named twice, or a cell is no number.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            first = handle.readline()
            if not first.strip():
                first = _first_line(handle, path)
            delimiter = _delimiter(first, path)
            handle.seek(0)
            return _read_rows(csv.reader(handle, delimiter=delimiter), path, time, states, inputs, group)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); save the file with UTF-8 encoding") from None
    except csv.Error as error:
        raise DataError(f"{path}: not a readable CSV file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror or error})") from None


def _first_line(handle: Iterable[str], path: Path) -> str:
    for line in handle:
        if line.strip():
            return line
    raise DataError(f"{path}: the file is empty; expected a line of column names and rows of numbers")


def _delimiter(line: str, path: Path) -> str:
    """Choose the delimiter that cuts the header into most columns; data lines may hold decimal commas."""
    if line.lstrip().startswith("#"):
        raise DataError(f"{path}: the first line is a comment; begin with the column names")
    counts = [len(next(csv.reader([line], delimiter=d))) for d in _DELIMITERS]
    if max(counts) < 2:
        raise DataError(
            f"{path}: found one column only ({line.strip()[:40]!r}); expected a time column and at "
            "least one state, separated by comma, semicolon, tab or bar"
        )
    return _DELIMITERS[counts.index(max(counts))]


def _read_rows(
    reader: Any,
    path: Path,
    time: str | None,
    states: Iterable[str] | None,
    inputs: Iterable[str],
    group: str | None,
) -> Table:
    header = [cell.strip() for cell in next(row for row in reader if any(cell.strip() for cell in row))]
    present = [name for name in header if name]
    if all(_is_number(name) for name in present):
        raise DataError(
            f"{path}: the first line holds numbers ({', '.join(present[:4])}); expected column names, so add "
            f"a line such as {','.join(['t', *(f'x{i}' for i in range(len(present) - 1))])}"
        )
    try:
        _refuse_duplicates(present)
        roles = _assign(present, present[0] if time is None and header[0] else time, states, inputs, group)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None

    wanted = [roles.time, *roles.states, *roles.inputs]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    groups: list[str] | None = None if roles.group is None else []
    unnamed = [i for i, name in enumerate(header) if not name]
    for rows, lines in _chunks(reader, len(header), path):
        columns = list(zip(*rows, strict=True))
        for i in unnamed:
            if any(cell.strip() for cell in columns[i]):
                raise DataError(
                    f"{path}: column {i + 1} has values but no name; name it in the first line or remove it "
                    "(pandas writes such a column unless index=False)"
                )
        for name in wanted:
            parts[name].append(_parse(columns[header.index(name)], lines, path, name))
        if groups is not None:
            groups.extend(cell.strip() for cell in columns[header.index(roles.group)])
    if not parts[roles.time]:
        raise DataError(f"{path}: there are column names but no rows")
    columns = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    try:
        return _table(roles, columns, groups)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _chunks(reader: Any, width: int, path: Path) -> Iterator[tuple[list[list[str]], list[int]]]:
    """Yield rows of equal width with their line numbers; rows without content are skipped."""
    numbered = ((reader.line_num, row) for row in reader if row)
    while pairs := list(islice(numbered, _CHUNK)):
        lines, rows = [p[0] for p in pairs], [p[1] for p in pairs]
        if set(map(len, rows)) != {width} or any(not row[0] for row in rows):
            lines, rows = _even(lines, rows, width, path)
        if rows:
            yield rows, lines


def _even(lines: list[int], rows: list[list[str]], width: int, path: Path) -> tuple[list[int], list[list[str]]]:
    kept_lines, kept_rows = [], []
    for line, row in zip(lines, rows, strict=True):
        if not any(cell.strip() for cell in row):
            continue
        if row[0].lstrip().startswith("#"):
            raise DataError(f"{path}, line {line}: a comment; remove lines that begin with '#'")
        while len(row) > width and not row[-1].strip():
            row = row[:-1]
        if len(row) != width:
            raise DataError(f"{path}, line {line}: expected {width} cells as in the header, got {len(row)}")
        kept_lines.append(line)
        kept_rows.append(row)
    return kept_lines, kept_rows


def _parse(cells: Sequence[str], lines: Sequence[int], path: Path, name: str) -> np.ndarray:
    """Turn a column of text into numbers: at full speed where all are, else cell by cell."""
    if "_" not in "".join(cells):  # float() would take "1_000"
        try:
            return np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
        except ValueError:
            pass
        try:
            return np.array([np.nan if c.strip().lower() in MISSING_WORDS else float(c) for c in cells])
        except ValueError:
            pass
    where = (f"{path}, line {line}, column {name!r}" for line in lines)
    return np.array([to_number(cell, at) for cell, at in zip(cells, where, strict=True)])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refuse_duplicates(columns: Sequence[Any]) -> None:
    seen: set[Any] = set()
    for column in columns:
        if column in seen:
            raise DataError(f"there are two columns named {column!r}; give every column its own name")
        seen.add(column)


def _assign(
    present: Sequence[Any],
    time: Any | None,
    states: Iterable[Any] | None,
    inputs: Iterable[Any],
    group: Any | None,
) -> _Roles:
    if time is None:
        raise DataError("the first column has no name; name it, or say which column is the time (time=...)")
    find_columns([time], present, "time")
    input_columns = find_columns(inputs, present, "input")
    if group is not None:
        find_columns([group], present, "group")
    others = [time, *input_columns, *([] if group is None else [group])]
    if states is None:
        state_columns = [c for c in present if c not in others]
    else:
        state_columns = find_columns(states, present, "state")
    _refuse_two_roles([*others, *state_columns])
    if not state_columns:
        raise DataError(f"no state column is left beside {', '.join(map(repr, others))}; one is needed")
    return _Roles(time, state_columns, input_columns, group)


def _refuse_two_roles(columns: Sequence[Any]) -> None:
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise DataError(f"column {column!r} has two roles; choose one of time, state, input and group")


def _table(roles: _Roles, columns: dict[Any, np.ndarray], groups: list[Any] | None) -> Table:
    time = columns[roles.time]
    n = len(time)
    labels: tuple[str, ...] = ("",)
    codes = np.zeros(n, dtype=np.intp)
    if groups is not None:
        order: dict[str, int] = {}
        for i, group in enumerate(groups):
            label = str(group).strip()
            if group is None or label.lower() in MISSING_WORDS:
                raise DataError(f"group column {roles.group!r} is empty at row {i}; every row needs its run")
            codes[i] = order.setdefault(label, len(order))
        labels = tuple(order)

    def block(names: list[Any]) -> np.ndarray:
        return np.column_stack([columns[name] for name in names]) if names else np.empty((n, 0))

    return Table(
        time,
        block(roles.states),
        block(roles.inputs),
        labels,
        codes,
        tuple(map(_one_line, roles.states)),
        tuple(map(_one_line, roles.inputs)),
        _one_line(roles.time),
    )


def _one_line(label: Any) -> str:
    """A column label as a name: a header cell may hold line breaks, a frame may have numbers."""
    return " ".join(str(label).split())
