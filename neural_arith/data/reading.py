"""Text files and data frames as tables of numbers.

Plain numbers are read fast. All else must be thought about: units, totals, remarks, dates, an index, numbers written in
many ways, one row for each value.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TextIO

import numpy as np

from neural_arith.data import dates
from neural_arith.data.cells import Column, is_measured, is_missing, look_at, plain_numbers, short, to_numbers
from neural_arith.data.checks import to_floats
from neural_arith.data.tables import (
    Raw,
    Request,
    Roles,
    Table,
    assign,
    group_rows,
    is_long,
    make_table,
    refuse_duplicates,
    widen,
)
from neural_arith.data.text import Layout, find_layout, named, open_text, read_rows
from neural_arith.errors import DataError


def read_frame(frame: Any, request: Request) -> Table:
    """Read a data frame: anything with ``frame.columns`` and ``frame[column]`` (pandas, polars). Time must be named."""
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
    """Read a text file, or the first sheet of a workbook; see :meth:`neural_arith.Trajectories.from_csv`."""
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
            values = plain_numbers(cells[i], ("", "NA", "NaN", "nan"))
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


_WHICH_TIME = "say which column is the time (time=, --time)"


_TIME_WORDS = {
    *("t", "time", "times", "date", "datetime", "timestamp", "s", "sec", "second", "seconds", "min", "minute"),
    *("minutes", "h", "hr", "hour", "hours", "d", "day", "days", "week", "weeks", "month", "months", "year", "years"),
    *("zeit", "datum", "sekunde", "stunde", "tag", "woche", "monat", "jahr", "temps", "heure", "jour"),
}
_TOTALS = {
    *("total", "totals", "sum", "subtotal", "mean", "average", "avg", "median", "min", "max", "minimum", "maximum"),
    *("std", "stdev", "sd", "sem", "var", "variance", "count", "n", "grand", "summe", "gesamt", "mittel", "mittelwert"),
    *("ende", "end", "eof", "somme", "moyenne", "totale", "media"),
}


def recognise(raw: Raw, request: Request) -> Table:
    """Read a table of texts; a cell that is no number, or may mean two things, is a DataError."""
    said_time = request.time is not None
    raw, request = _index_or_time(raw, request)
    present = list(raw.columns)
    roles = assign(present, request)
    raw, units = _units_row(raw, roles)
    raw = _no_measurements(raw, roles)
    if request.states is None:
        raw, roles = _date_and_clock(raw, roles)
    long = is_long(present, roles.time, roles.group, roles.states if request.states is not None else None)
    if long is not None and not isinstance(raw.columns[long.variable], list):
        long = None
    looked = {
        name: look_at(str(name), cells, request.missing_words) if isinstance(cells, list) else cells
        for name, cells in raw.columns.items()
        if name in roles.numeric
    }
    notes = list(raw.notes)
    if long is None:
        roles, left_out = _words_left_out(roles, looked, raw, request)
        notes += left_out
    else:
        roles = replace(roles, states=[long.value])
    codes, labels, said = group_rows(None if roles.group is None else raw.columns[roles.group], raw, roles)
    notes += said
    marks, said = _marks([looked[name] for name in roles.numeric if _is_numbers(looked[name])], raw)
    notes += said
    columns: dict[Any, np.ndarray] = {}
    for name in roles.numeric:
        column = looked[name]
        if name == roles.time:
            columns[name], unit, said = _times(column, name, codes, units.get(name, ""), marks, raw)
            if isinstance(column, Column) and column.kind != "numbers":
                units.pop(name, None)
        elif not isinstance(column, Column):
            if column.dtype.kind == "M":
                raise DataError(f"column {name!r} holds dates, which no equation can hold; choose the others (states=)")
            unit, said = "", []
            columns[name] = column
        else:
            columns[name], unit, said = _numbers(column, marks, raw, name, roles)
        notes += said
        if unit:
            units.setdefault(name, unit)
        if request.missing is not None:
            columns[name] = without_codes(columns[name], request)
    if said_units := ", ".join(f"{name} in {unit}" for name, unit in units.items() if unit and name in roles.numeric):
        notes.append(f"Units as the table gives them: {said_units}.")
    raw = replace(raw, notes=tuple(notes))
    table = make_table(roles, columns, codes, labels, raw, said_time)
    return table if long is None else widen(table, raw.columns[long.variable], long)


def _marks(columns: list[Column], raw: Raw) -> tuple[set[str], list[str]]:
    """The decimal marks that are certain in a table; where none is, a comma between semicolons is one."""
    marks = set().union(*(column.marks for column in columns))
    if marks or not raw.semicolons:
        return marks, []
    texts = [text for column in columns for text in column.texts]
    example = next((text for text in texts if "," in text), None)
    if example is None or any("." in text for text in texts):
        return marks, []
    return {","}, [f"Commas between semicolons were read as decimal commas: {example} is {example.replace(',', '.')}."]


def _is_numbers(column: Any) -> bool:
    return isinstance(column, Column) and column.kind in ("numbers", "nothing")


def _numbers(column: Column, marks: set[str], raw: Raw, name: Any, roles: Roles) -> tuple[np.ndarray, str, list[str]]:
    if column.kind in ("dates", "clock"):
        row = next(i for i, text in enumerate(column.texts) if text)
        raise DataError(
            f"{raw.place(row)}, column {name!r}: {short(column.texts[row])} is a date or a time of day, which no "
            f"equation can hold; {_choose(name)}"
        )
    if column.kind == "words":
        row = next(i for i, text in enumerate(column.texts) if text)
        hint = _group_hint(name, len(roles.states) == 2) if _names_runs(column.texts) else ""
        raise DataError(f"{raw.place(row)}, column {name!r}: expected a number, got {short(column.texts[row])}{hint}")
    return to_numbers(column, marks, raw.place)


def _times(
    column: Any, name: Any, codes: np.ndarray, unit: str, marks: set[str], raw: Raw
) -> tuple[np.ndarray, str, list[str]]:
    if not isinstance(column, Column):
        if column.dtype.kind == "M":
            days, note = dates.days_since(*dates.from_datetime64(column), str(name))
            return days, "", [note]
        values, said = dated(column, name)
        return values, "", said
    if column.kind == "dates":
        days, note = dates.read_dates(column.texts, column.name, raw.place)
        return days, "", [note]
    if column.kind == "clock":
        hours, note = dates.read_clock(column.texts, codes, column.name, unit, raw.place)
        return hours, "", [note]
    if column.kind == "words":
        row = next(i for i, text in enumerate(column.texts) if text)
        raise DataError(
            f"{raw.place(row)}, column {column.name!r}: expected a time, got {short(column.texts[row])}; {_WHICH_TIME}"
        )
    values, unit, notes = to_numbers(column, marks, raw.place)
    values, said = dated(values, column.name)
    return values, unit, [*notes, *said]


def dated(values: np.ndarray, name: Any) -> tuple[np.ndarray, list[str]]:
    """Numbers such as 20240301 throughout are dates."""
    stamps = dates.compact_dates(values)
    if stamps is None:
        return values, []
    days, note = dates.days_since(stamps, np.ones(len(stamps), dtype=bool), str(name))
    return days, [note]


def _index_or_time(raw: Raw, request: Request) -> tuple[Raw, Request]:
    """Choose the time where the user did not; pass over a column that only counts rows."""
    if raw.index is None:
        return raw, request if request.time is not None else replace(request, time=next(iter(raw.columns)))
    asked = [request.time, request.group, *_listed(request.states), *_listed(request.inputs)]
    others = [name for name in raw.columns if name != raw.index]
    if raw.index in asked:
        return raw, request if request.time is not None else replace(request, time=raw.index)
    column = raw.columns[raw.index]
    cells = column if isinstance(column, list) else [f"{value:.17g}" for value in column.tolist()]
    counts = cells in ([str(i) for i in range(len(cells))], [str(i) for i in range(1, len(cells) + 1)])
    words = [str(name).lower().split("(")[0].split("[")[0].strip() for name in others]
    timed = bool(words) and words[0] in _TIME_WORDS
    if request.time is None and not timed:
        if counts:
            raise DataError(
                f"the first column has no name and counts rows; name it if it is the time, or {_WHICH_TIME}"
            )
        if not all(is_measured(cell) for cell in cells):
            raise DataError(f"the first column has no name; name it, or {_WHICH_TIME}")
        return raw, replace(request, time=raw.index)
    dated = all(dates.is_date(cell) or is_missing(cell) for cell in cells)
    if not counts and not dated and request.states is None:
        raise DataError(
            "column 1 has values but no name; name it in the first line or remove it "
            "(pandas writes such a column unless index=False)"
        )
    note = "The first column has no name of its own and was passed over (pandas writes such an index)."
    columns = {name: raw.columns[name] for name in others}
    time = others[0] if request.time is None else request.time
    return replace(raw, columns=columns, notes=(*raw.notes, note)), replace(request, time=time)


def _listed(names: Iterable[Any] | None) -> list[Any]:
    return [] if names is None else [names] if isinstance(names, str) else list(names)


def _units_row(raw: Raw, roles: Roles) -> tuple[Raw, dict[Any, str]]:
    """Take a first row of words over numbers for units; over dates, which have none, it may be empty."""
    used = {name: raw.columns[name] for name in roles.numeric if isinstance(raw.columns[name], list)}
    time = used.get(roles.time)
    if raw.word != "line" or time is None or len(time) < 2 or not is_measured(time[1]):
        return raw, {}
    first = {name: cells[0] for name, cells in used.items()}
    units = {name: text.strip("[]() ") for name, text in first.items() if text not in ("", "-")}
    if time[0] == "1" or not any(_is_word(text) or text == "%" for text in first.values()):
        return raw, {}
    if any(not _is_word(first[name]) and first[name] not in ("1", "%") for name in units):
        return raw, {}
    return raw.without([0]), units


def _is_word(text: str) -> bool:
    return bool(text) and not is_measured(text) and not is_missing(text)


def _no_measurements(raw: Raw, roles: Roles) -> Raw:
    """Leave out totals and remarks: rows with a word where the time should stand."""
    time = raw.columns[roles.time]
    if not isinstance(time, list):
        return raw
    words = [i for i, text in enumerate(time) if _is_word(text)]
    if not words or len(words) > len(time) // 2:
        return raw
    last = max((i for i, text in enumerate(time) if is_measured(text)), default=-1)
    others = [raw.columns[name] for name in raw.columns if name != roles.time]
    out, notes = [], []
    for i in words:
        total = time[i].lower().split()[0].rstrip(".:") in _TOTALS
        empty = all(isinstance(cells, list) and not cells[i] for cells in others)
        if total or (empty and i > last):
            out.append(i)
            notes.append(f"{raw.place(i).capitalize()} ({short(time[i])}) is no measurement and was left out.")
    return replace(raw.without(out), notes=(*raw.notes, *notes)) if out else raw


def _date_and_clock(raw: Raw, roles: Roles) -> tuple[Raw, Roles]:
    """Put a column of dates and one of times of day, as loggers write them, together as the time."""
    kinds = {name: _kind(raw.columns[name]) for name in (roles.time, *roles.states)}
    other = {"dates": "clock", "clock": "dates"}.get(kinds[roles.time])
    partners = [name for name in roles.states if kinds[name] == other]
    if other is None or len(partners) != 1 or len(roles.states) < 2:
        return raw, roles
    days, clock = (roles.time, partners[0]) if other == "clock" else (partners[0], roles.time)
    pairs = zip(raw.columns[days], raw.columns[clock], strict=True)
    together = [f"{day} {hour}" if day and hour else "" for day, hour in pairs]
    note = f"Columns {days!r} and {clock!r} were read together as the time."
    raw = replace(raw, columns={**raw.columns, roles.time: together}, notes=(*raw.notes, note))
    return raw, replace(roles, states=[name for name in roles.states if name != partners[0]])


def _kind(cells: Any) -> str:
    """Dates without a time of day, or times of day, throughout; else nothing."""
    if not isinstance(cells, list) or not any(cells):
        return ""
    there = [cell for cell in cells if not is_missing(cell)]
    if there and all(map(dates.is_clock, there)):
        return "clock"
    return "dates" if there and all(dates.is_date(cell) and ":" not in cell for cell in there) else ""


def _words_left_out(roles: Roles, looked: dict[Any, Any], raw: Raw, request: Request) -> tuple[Roles, list[str]]:
    """Leave out columns of remarks that nobody asked for; those that may name runs are asked about."""
    if request.states is not None:
        return roles, []
    states, notes = [], []
    for name in roles.states:
        column = looked[name]
        if not isinstance(column, Column) or column.kind != "words" or _names_runs(column.texts):
            states.append(name)
        else:
            notes.append(f"Column {name!r} holds no numbers and was left out.")
    if not states:
        return roles, []
    return replace(roles, states=states), notes


def _names_runs(texts: Sequence[str]) -> bool:
    """Whether a column repeats few texts, each several times, and has no gap."""
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    return "" not in counts and len(counts) > 1 and min(counts.values()) > 1


def _group_hint(name: Any, one_value: bool) -> str:
    option = shlex.quote(str(name))
    pivot = (
        "; if it names what was measured, one value a row, pivot the table (pandas: frame.pivot)" if one_value else ""
    )
    return f"; if {name!r} names the runs, say so (group={name!r}, --group {option}){pivot}; otherwise {_choose(name)}"


def _choose(name: Any) -> str:
    return f"choose the states without {name!r} (states=, --states)"


def without_codes(values: np.ndarray, request: Request) -> np.ndarray:
    """The numbers, NaN where the user said that one stands for a missing value."""
    return np.where(np.isin(values, request.missing_numbers), np.nan, values) if request.missing_numbers else values
