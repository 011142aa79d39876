"""Text files and data frames as tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TextIO

import numpy as np

from neural_arith.data import dates
from neural_arith.data.checks import to_floats
from neural_arith.data.layout import Layout, find_layout, read_rows
from neural_arith.data.long_tables import is_long
from neural_arith.data.recognise import dated, recognise, without_codes
from neural_arith.data.sources import named, open_text
from neural_arith.data.tables import Raw, Request, Table, assign, group_rows, make_table, refuse_duplicates
from neural_arith.errors import DataError


def read_frame(frame: Any, request: Request) -> Table:
    """Read a data frame: anything with ``frame.columns`` and ``frame[column]`` (pandas, polars).

    Args:
        frame: the data frame.
        request: roles of the columns; the time must be named.

    Returns:
        The table.

    Raises:
        DataError: a column is unknown or named twice, or a cell is no number.
    """
    if not hasattr(frame, "columns") or not hasattr(frame, "__getitem__"):
        raise DataError(f"expected a data frame, got {type(frame).__name__}; from_arrays takes arrays")
    index = getattr(getattr(frame, "index", None), "names", ())
    if request.time is not None and request.time in index and request.time not in frame.columns:
        frame = frame.reset_index()
    present = list(frame.columns)
    refuse_duplicates(present)
    if request.time is None:
        raise DataError("say which column is the time (time=...)")
    assign(present, request)
    columns = {name: _cells(frame[name], f"column {name!r}", name != request.group) for name in present}
    rows = len(next(iter(columns.values())))
    if any(len(cells) != rows for cells in columns.values()):
        raise DataError("the columns of the frame have different lengths")
    index = present[0] if str(present[0]).startswith("Unnamed:") else None
    return recognise(Raw(columns, np.arange(rows), "row", (), index=index), request)


def _cells(series: Any, what: str, strip: bool) -> Any:
    """A column as numbers or dates of NumPy, or as a list of texts; nullable columns keep their gaps."""
    kind = getattr(getattr(series, "dtype", None), "kind", "O")
    if getattr(series, "ndim", 1) == 1 and kind not in "OUSTcmM" and hasattr(series, "to_numpy"):
        return to_floats(series, what)
    values = np.asarray(series.to_numpy() if hasattr(series, "to_numpy") else series)
    if values.dtype.kind in "fiubc":
        return to_floats(values, what)
    if values.dtype.kind == "M":
        return values
    if values.dtype.kind == "m":
        raise DataError(f"{what}: expected numbers, got durations; convert them first, as by .dt.total_seconds()")
    texts = map(_as_text, values.tolist())
    return [text.strip() for text in texts] if strip else list(texts)


def _as_text(value: Any) -> str:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool | float):
        return repr(float(value))
    return dates.iso(value) if hasattr(value, "isoformat") else str(value)


def read_csv(path: str | os.PathLike[str], request: Request) -> Table:
    """Read a text file, or the first sheet of a workbook; see :meth:`neural_arith.Trajectories.from_csv`.

    Args:
        path: the file.
        request: roles of the columns.

    Returns:
        The table.

    Raises:
        DataError: the file cannot be read, a column is unknown or named twice, or a cell is no number.
    """
    path = named(path)
    try:
        with open_text(path) as (text, notes):
            layout = find_layout(text)
            layout = replace(layout, notes=(*notes, *layout.notes))
            present = [name for name in layout.header if name]
            refuse_duplicates(present, layout.header)
            text.seek(0)
            table = _fast(text, layout, request)
            if table is None:
                text.seek(0)
                table = recognise(_load(text, layout, request), request)
            return table
    except DataError as error:
        raise DataError(f"{path}{', ' if str(error).startswith('line ') else ': '}{error}") from None


def _fast(text: TextIO, layout: Layout, request: Request) -> Table | None:
    """A table of plain numbers, read in pieces; None where anything must be thought about."""
    if "" in layout.header or layout.header[0].startswith("Unnamed:"):
        return None
    roles = assign(layout.header, replace(request, time=request.time or layout.header[0]))
    if is_long(layout.header, roles.time, roles.group) is not None:
        return None
    at = [layout.header.index(name) for name in roles.numeric]
    parts: list[list[np.ndarray]] = [[] for _ in at]
    groups: list[str] = []
    lines: list[np.ndarray] = []
    remarks: list[str] = []
    for rows, numbers in read_rows(text, layout, remarks):
        cells = list(zip(*rows, strict=True))
        for part, i in zip(parts, at, strict=True):
            values = _plain(cells[i])
            if values is None:
                return None
            part.append(values)
        if roles.group is not None:
            groups.extend(cells[layout.header.index(roles.group)])
        lines.append(np.array(numbers))
    if not lines:
        raise DataError("there are column names but no rows")
    raw = Raw({}, np.concatenate(lines), "line", (*layout.notes, *remarks))
    columns = {name: np.concatenate(part) for name, part in zip(roles.numeric, parts, strict=True)}
    if request.missing is not None:
        columns = {name: without_codes(values, request) for name, values in columns.items()}
    codes, labels, notes = group_rows(groups if roles.group is not None else None, raw, roles)
    columns[roles.time], said = dated(columns[roles.time], roles.time)
    return make_table(
        roles, columns, codes, labels, replace(raw, notes=(*raw.notes, *notes, *said)), request.time is not None
    )


def _plain(cells: Sequence[str]) -> np.ndarray | None:
    if "_" in "".join(cells):  # float() would take 1_000
        return None
    try:
        return np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
    except ValueError:
        pass
    try:
        empty = ("", "NA", "NaN", "nan")
        return np.array([np.nan if c.strip() in empty else float(c) for c in cells], dtype=np.float64)
    except ValueError:
        return None


def _load(text: TextIO, layout: Layout, request: Request) -> Raw:
    """The whole table as text."""
    remarks: list[str] = []
    columns: list[list[str]] = [[] for _ in layout.header]
    lines: list[int] = []
    for rows, numbers in read_rows(text, layout, remarks):
        for name, column, cells in zip(layout.header, columns, zip(*rows, strict=True), strict=True):
            column.extend(cells if name == request.group else map(str.strip, cells))
        lines += numbers
    if not lines:
        raise DataError("there are column names but no rows")
    notes = list(layout.notes)
    index = None
    keep: dict[Any, list[str]] = {}
    for i, (name, cells) in enumerate(zip(layout.header, columns, strict=True)):
        if not name and not any(cells):
            continue
        if i == 0 and (not name or name.startswith("Unnamed:")):
            index = name or "time"
            if index in layout.header[1:]:
                index = "index"
            keep[index] = cells
        elif name:
            keep[name] = cells
        elif request.states is None:
            raise DataError(
                f"column {i + 1} has values but no name; name it in the first line, or choose others (states=)"
            )
        else:
            notes.append(f"Column {i + 1} has no name and was left out.")
    return Raw(keep, np.array(lines), "line", (*notes, *remarks), layout.separator == ";", index)
