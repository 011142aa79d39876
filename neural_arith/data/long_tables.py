"""Tables with one row per value, a column that names the quantity and one that holds it, as a table of columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_arith.errors import DataError

if TYPE_CHECKING:
    from neural_arith.data.tables import Table

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
    """Recognise by their names a column of names and a column of values.

    Args:
        present: all columns.
        time: the time column.
        group: the column that tells runs apart, or None.
        states: the states that were asked for; None for all.

    Returns:
        The two columns, or None where the table is no such one.

    Raises:
        DataError: the names of the quantities were given as names of the runs.
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

    Args:
        table: times and one state, a row per value.
        quantities: for each row what was measured.
        long: the names of the two columns.

    Returns:
        The table with a row for each time of each run.

    Raises:
        DataError: a row names no quantity, or a quantity stands twice at one time.
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
