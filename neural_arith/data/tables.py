"""A table of numbers and what its columns are: time, states, inputs, runs; or one row for each value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neural_arith.data.cells import is_missing
from neural_arith.data.checks import find_columns
from neural_arith.errors import DataError


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
            except (TypeError, ValueError):
                continue
        return found


@dataclass(frozen=True)
class Roles:
    """Which column is the time, which are states and inputs, which names the runs."""

    time: Any
    states: list[Any]
    inputs: list[Any]
    group: Any | None

    @property
    def numeric(self) -> list[Any]:
        """The columns that must hold numbers."""
        return [self.time, *self.states, *self.inputs]


@dataclass(frozen=True, eq=False)
class Raw:
    """A table as it was found.

    Attributes:
        columns: lists of texts, or arrays of numbers or dates, by name.
        lines: what the rows are called in messages.
        word: "line" or "row".
        notes: what was passed over so far.
        semicolons: semicolons separate its cells, which leaves the comma for decimals.
        index: a first column without a name, as pandas writes its index.
    """

    columns: dict[Any, Any]
    lines: np.ndarray
    word: str
    notes: tuple[str, ...]
    semicolons: bool = False
    index: Any | None = None

    def place(self, row: int) -> str:
        """How a message calls a row."""
        return f"{self.word} {self.lines[row]}"

    def without(self, rows: Sequence[int]) -> Raw:
        """The table without some rows."""
        keep = np.setdiff1d(np.arange(len(self.lines)), rows)
        columns = {name: [cells[i] for i in keep] if isinstance(cells, list) else cells[keep]
                   for name, cells in self.columns.items()}  # fmt: skip
        return replace(self, columns=columns, lines=self.lines[keep])


def refuse_duplicates(columns: Sequence[Any], header: Sequence[Any] = ()) -> None:
    """Ask for columns with different names; ``header`` tells their places where some have none."""
    seen: set[Any] = set()
    for column in columns:
        if column in seen:
            at = [str(i) for i, name in enumerate(header or columns, 1) if name == column]
            raise DataError(
                f"there are two columns named {column!r} ({' and '.join(at[:2])}); give every column its own name"
            )
        seen.add(column)


def assign(present: Sequence[Any], request: Request) -> Roles:
    """Find the columns that were asked for, each with one role; at least one state must be left."""
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
    return Roles(time, state_columns, input_columns, group)


def _refuse_two_roles(columns: Sequence[Any]) -> None:
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise DataError(f"column {column!r} has two roles; choose one of time, state, input and group")


def group_rows(cells: Any, raw: Raw, roles: Roles) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
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


def make_table(
    roles: Roles, columns: dict[Any, np.ndarray], codes: np.ndarray, labels: tuple[str, ...], raw: Raw, said: bool
) -> Table:
    """Put the columns of numbers in their places; ``said`` tells whether the user named the time."""

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


_QUANTITY = {
    *("variable", "variables", "name", "quantity", "parameter", "param", "key", "measure", "measurand", "observable"),
    *("signal", "channel", "sensor", "species", "analyte", "compound", "metric", "feature", "attribute"),
    *("größe", "messgröße", "kanal", "merkmal", "grandeur"),
}
_VALUE = {"value", "values", "val", "reading", "measurement", "result", "wert", "messwert", "valeur", "valor"}


@dataclass(frozen=True)
class Long:
    """The two columns of a table with one row per value.

    Attributes:
        variable: the column that names the quantity.
        value: the column that holds it.
    """

    variable: Any
    value: Any


def is_long(present: Sequence[Any], time: Any, group: Any | None, states: Sequence[Any] | None = None) -> Long | None:
    """Recognise by their names a column of names and a column of values, where ``states``, if given, ask for them.

    That the names of the quantities were given as names of the runs is a DataError.
    """
    others = [name for name in present if name not in (time, group)]
    value = [name for name in others if str(name).strip().lower() in _VALUE]
    named = [name for name in present if name != time and str(name).strip().lower() in _QUANTITY]
    if len(value) != 1 or len(named) != 1 or (states is not None and named[0] not in states):
        return None
    if group == named[0]:
        raise DataError(
            f"column {group!r} beside {value[0]!r} names what was measured, one value a row, not the runs: leave the "
            f"group out to read it so; if these are runs of one quantity, give {value[0]!r} the name of that quantity"
        )
    return Long(named[0], value[0]) if set(others) == {named[0], value[0]} else None


def widen(table: Table, quantities: Sequence[str], long: Long) -> Table:
    """Make one column of each quantity; where one was not measured its value is missing.

    The table has one state, a row per value; ``quantities`` tell for each row what was measured, each once at a time.
    """
    order: dict[str, int] = {}
    columns = np.zeros(len(quantities), dtype=np.intp)
    for i, name in enumerate(quantities):
        if not name.strip():
            raise DataError(
                f"{table.place(i)}, column {long.variable!r}: empty; every value needs the name of its quantity"
            )
        columns[i] = order.setdefault(name.strip(), len(order))
    keys = np.rec.fromarrays([table.codes, table.time])
    _, first, row = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # rows in the order in which they stand
    row = rank[row.ravel()]
    first = np.sort(first)
    cells = row * len(order) + columns
    _, once, times = np.unique(cells, return_index=True, return_counts=True)
    if (times > 1).any():
        a = int(once[np.flatnonzero(times > 1)[0]])
        b = int(np.flatnonzero(cells == cells[a])[1])
        raise DataError(
            f"{quantities[a]!r} stands twice at {table.time_name} = {table.time[a]:.12g}, {table.place(a)} and "
            f"{table.place(b)}; keep one, or name the column that tells several runs apart (group=, --group)"
        )
    states = np.full((len(first), len(order)), np.nan)
    states[row, columns] = table.states[:, 0]
    note = (
        f"One row per value: column {long.variable!r} names what {long.value!r} holds, so {', '.join(order)} "
        "were read as columns."
    )
    return replace(
        table,
        time=table.time[first],
        states=states,
        inputs=np.empty((len(first), 0)),
        codes=table.codes[first],
        names=tuple(order),
        lines=table.lines[first],
        notes=(*table.notes, note),
    )
