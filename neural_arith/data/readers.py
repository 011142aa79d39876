"""Tables of numbers, from a text file or a data frame, sorted into time, states, inputs and runs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TextIO

import numpy as np

from neural_arith.data import dates
from neural_arith.data.cells import Column, is_measured, is_missing, look_at, short, to_numbers
from neural_arith.data.checks import find_columns, to_floats
from neural_arith.data.layout import Layout, find_layout, read_rows
from neural_arith.data.long_tables import is_long, widen
from neural_arith.data.sources import named, open_text
from neural_arith.errors import DataError

_WHICH_TIME = "say which column is the time (time=, --time)"
_TIME_WORDS = {
    *(
        "t",
        "time",
        "times",
        "date",
        "datetime",
        "timestamp",
        "s",
        "sec",
        "second",
        "seconds",
        "min",
        "minute",
        "minutes",
    ),
    *("h", "hr", "hour", "hours", "d", "day", "days", "week", "weeks", "month", "months", "year", "years"),
    *("zeit", "datum", "sekunde", "stunde", "tag", "woche", "monat", "jahr", "temps", "heure", "jour"),
}
_TOTALS = {
    *("total", "totals", "sum", "subtotal", "mean", "average", "avg", "median", "min", "max", "minimum", "maximum"),
    *("std", "stdev", "sd", "sem", "var", "variance", "count", "n", "grand", "summe", "gesamt", "mittel", "mittelwert"),
    *("ende", "end", "eof", "somme", "moyenne", "totale", "media"),
}


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
        lines: what the rows are called in messages: their lines in the file, or their places in the frame.
        word: "line" or "row".
        notes: what was assumed or left out.
        time_said: whether the user named the time column.
    """

    time: np.ndarray
    states: np.ndarray
    inputs: np.ndarray
    labels: tuple[str, ...]
    codes: np.ndarray
    names: tuple[str, ...]
    input_names: tuple[str, ...]
    time_name: str
    lines: np.ndarray
    word: str
    notes: tuple[str, ...]
    time_said: bool

    def place(self, row: int) -> str:
        """How a message calls a row."""
        return f"{self.word} {self.lines[row]}"


@dataclass(frozen=True)
class Request:
    """What the user said about a table; see :meth:`neural_arith.Trajectories.from_csv`."""

    time: Any | None
    states: Iterable[Any] | None
    inputs: Iterable[Any]
    group: Any | None
    missing: Sequence[str | float] | None

    @property
    def missing_words(self) -> frozenset[str]:
        """Texts that stand for a missing value."""
        return frozenset(str(word).strip() for word in self.missing or ())

    @property
    def missing_numbers(self) -> list[float]:
        """Numbers that stand for a missing value."""
        found = []
        for word in self.missing or ():
            try:
                found.append(float(word))
            except ValueError:
                continue
        return found


@dataclass(frozen=True)
class _Roles:
    time: Any
    states: list[Any]
    inputs: list[Any]
    group: Any | None

    @property
    def numeric(self) -> list[Any]:
        return [self.time, *self.states, *self.inputs]


@dataclass(frozen=True, eq=False)
class _Raw:
    """A table as it was found: columns of text or of numbers, and how its rows are called."""

    columns: dict[Any, Any]
    lines: np.ndarray
    word: str
    notes: tuple[str, ...]
    semicolons: bool = False
    index: Any | None = None  # a first column without a name, as pandas writes its index

    def place(self, row: int) -> str:
        return f"{self.word} {self.lines[row]}"

    def without(self, rows: Sequence[int]) -> _Raw:
        keep = np.setdiff1d(np.arange(len(self.lines)), rows)
        columns = {name: [cells[i] for i in keep] if isinstance(cells, list) else cells[keep]
                   for name, cells in self.columns.items()}  # fmt: skip
        return replace(self, columns=columns, lines=self.lines[keep])


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
    _refuse_duplicates(present)
    if request.time is None:
        raise DataError("say which column is the time (time=...)")
    _assign(present, request)
    columns = {name: _cells(frame[name], f"column {name!r}", name != request.group) for name in present}
    rows = len(next(iter(columns.values())))
    if any(len(cells) != rows for cells in columns.values()):
        raise DataError("the columns of the frame have different lengths")
    index = present[0] if str(present[0]).startswith("Unnamed:") else None
    return _careful(_Raw(columns, np.arange(rows), "row", (), index=index), request)


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
            _refuse_duplicates(present, layout.header)
            text.seek(0)
            table = _fast(text, layout, request)
            if table is None:
                text.seek(0)
                table = _careful(_load(text, layout, request), request)
            return table
    except DataError as error:
        raise DataError(f"{path}{', ' if str(error).startswith('line ') else ': '}{error}") from None


def _fast(text: TextIO, layout: Layout, request: Request) -> Table | None:
    """A table of plain numbers, read in pieces; None where anything must be thought about."""
    if "" in layout.header or layout.header[0].startswith("Unnamed:"):
        return None
    roles = _assign(layout.header, replace(request, time=request.time or layout.header[0]))
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
    raw = _Raw({}, np.concatenate(lines), "line", (*layout.notes, *remarks))
    columns = {name: np.concatenate(part) for name, part in zip(roles.numeric, parts, strict=True)}
    if request.missing is not None:
        columns = {name: _without_codes(values, request) for name, values in columns.items()}
    codes, labels, notes = _groups(groups if roles.group is not None else None, raw, roles)
    columns[roles.time], said = _dated(columns[roles.time], roles.time)
    return _table(
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


def _load(text: TextIO, layout: Layout, request: Request) -> _Raw:
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
    return _Raw(keep, np.array(lines), "line", (*notes, *remarks), layout.separator == ";", index)


# --- a table that must be thought about -------------------------------------------------------------------------


def _careful(raw: _Raw, request: Request) -> Table:
    said_time = request.time is not None
    raw, request = _index_or_time(raw, request)
    present = list(raw.columns)
    roles = _assign(present, request)
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
    codes, labels, said = _groups(None if roles.group is None else raw.columns[roles.group], raw, roles)
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
            columns[name] = _without_codes(columns[name], request)
    if said_units := ", ".join(f"{name} in {unit}" for name, unit in units.items() if unit and name in roles.numeric):
        notes.append(f"Units as the table gives them: {said_units}.")
    raw = replace(raw, notes=tuple(notes))
    table = _table(roles, columns, codes, labels, raw, said_time)
    return table if long is None else widen(table, raw.columns[long.variable], long)


def _marks(columns: list[Column], raw: _Raw) -> tuple[set[str], list[str]]:
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


def _numbers(column: Column, marks: set[str], raw: _Raw, name: Any, roles: _Roles) -> tuple[np.ndarray, str, list[str]]:
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
    column: Any, name: Any, codes: np.ndarray, unit: str, marks: set[str], raw: _Raw
) -> tuple[np.ndarray, str, list[str]]:
    if not isinstance(column, Column):
        if column.dtype.kind == "M":
            days, note = dates.days_since(*dates.from_datetime64(column), str(name))
            return days, "", [note]
        values, said = _dated(column, name)
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
    values, said = _dated(values, column.name)
    return values, unit, [*notes, *said]


def _dated(values: np.ndarray, name: Any) -> tuple[np.ndarray, list[str]]:
    """Numbers such as 20240301 throughout are dates."""
    stamps = dates.compact_dates(values)
    if stamps is None:
        return values, []
    days, note = dates.days_since(stamps, np.ones(len(stamps), dtype=bool), str(name))
    return days, [note]


def _index_or_time(raw: _Raw, request: Request) -> tuple[_Raw, Request]:
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


def _units_row(raw: _Raw, roles: _Roles) -> tuple[_Raw, dict[Any, str]]:
    """Take a first row of words over numbers for units."""
    used = {name: raw.columns[name] for name in roles.numeric if isinstance(raw.columns[name], list)}
    time = used.get(roles.time)
    if raw.word != "line" or time is None or len(time) < 2 or not _is_word(time[0]) or not is_measured(time[1]):
        return raw, {}
    first = {name: cells[0] for name, cells in used.items()}
    if any(not _is_word(text) and text not in ("", "1", "-", "%") for text in first.values()):
        return raw, {}
    return raw.without([0]), {name: text.strip("[]() ") for name, text in first.items() if text not in ("", "-")}


def _is_word(text: str) -> bool:
    return bool(text) and not is_measured(text) and not is_missing(text)


def _no_measurements(raw: _Raw, roles: _Roles) -> _Raw:
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


def _date_and_clock(raw: _Raw, roles: _Roles) -> tuple[_Raw, _Roles]:
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


def _words_left_out(roles: _Roles, looked: dict[Any, Any], raw: _Raw, request: Request) -> tuple[_Roles, list[str]]:
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


def _without_codes(values: np.ndarray, request: Request) -> np.ndarray:
    return np.where(np.isin(values, request.missing_numbers), np.nan, values) if request.missing_numbers else values


# --- roles ------------------------------------------------------------------------------------------------------


def _refuse_duplicates(columns: Sequence[Any], header: Sequence[Any] = ()) -> None:
    seen: set[Any] = set()
    for column in columns:
        if column in seen:
            at = [str(i) for i, name in enumerate(header or columns, 1) if name == column]
            raise DataError(
                f"there are two columns named {column!r} ({' and '.join(at[:2])}); give every column its own name"
            )
        seen.add(column)


def _assign(present: Sequence[Any], request: Request) -> _Roles:
    time, group = request.time, request.group
    find_columns([time], present, "time")
    input_columns = find_columns(request.inputs, present, "input")
    if group is not None:
        find_columns([group], present, "group")
    others = [time, *input_columns, *([] if group is None else [group])]
    if request.states is None:
        state_columns = [c for c in present if c not in others]
    else:
        state_columns = find_columns(request.states, present, "state")
    _refuse_two_roles([*others, *state_columns])
    if not state_columns:
        raise DataError(f"no state column is left beside {', '.join(map(repr, others))}; one is needed")
    return _Roles(time, state_columns, input_columns, group)


def _refuse_two_roles(columns: Sequence[Any]) -> None:
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise DataError(f"column {column!r} has two roles; choose one of time, state, input and group")


def _groups(cells: Any, raw: _Raw, roles: _Roles) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """For each row the number of its run, the labels, and what to say about them."""
    codes = np.zeros(len(raw.lines), dtype=np.intp)
    if cells is None:
        return codes, ("",), []
    order: dict[str, int] = {}
    spellings: dict[str, set[str]] = {}
    for i, label in enumerate(cells if isinstance(cells, list) else map(_label, cells)):
        bare = " ".join(label.split())
        if is_missing(bare):
            raise DataError(f"group column {roles.group!r} is empty at {raw.place(i)}; every row needs its run")
        codes[i] = order.setdefault(bare, len(order))
        spellings.setdefault(bare, set()).add(label)
    mixed = [sorted(found) for found in spellings.values() if len(found) > 1]
    said = [
        f"White space in the names of runs was dropped: {' and '.join(map(repr, found[:3]))} are one run."
        for found in mixed
    ]
    return codes, tuple(order), said


def _label(value: Any) -> str:
    """The name of a run that a frame numbers or dates."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _table(
    roles: _Roles, columns: dict[Any, np.ndarray], codes: np.ndarray, labels: tuple[str, ...], raw: _Raw, said: bool
) -> Table:
    def block(names: list[Any]) -> np.ndarray:
        return np.column_stack([columns[name] for name in names]) if names else np.empty((len(codes), 0))

    return Table(
        columns[roles.time],
        block(roles.states),
        block(roles.inputs),
        labels,
        codes,
        tuple(map(_one_line, roles.states)),
        tuple(map(_one_line, roles.inputs)),
        _one_line(roles.time),
        raw.lines,
        raw.word,
        raw.notes,
        said,
    )


def _one_line(label: Any) -> str:
    """A column label as a name: a header cell may hold line breaks, a frame may have numbers."""
    return " ".join(str(label).split())
