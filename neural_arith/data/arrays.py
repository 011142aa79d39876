"""Which shape of array means what: one run or several, rows, a step, columns by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_arith.data import checks
from neural_arith.data.cells import short
from neural_arith.errors import DataError


def is_many(value: Any, ndim: int = 2) -> bool:
    """Tell several runs from one: a list of arrays, a list of tables, or an array with a run axis.

    A list of plain rows of numbers, ``[[1, 2], [3, 4]]``, is one table of states; as people write it.
    """
    if isinstance(value, (list, tuple)):
        return bool(value) and all(_depth(item) >= ndim or _is_array(item) for item in value)
    return getattr(value, "ndim", 0) == ndim + 1


def is_rows(value: Any, t: Any) -> bool:
    """Tell a list of rows, as a loop collects them, from a list of runs of one state: one row for each time."""
    if not isinstance(value, (list, tuple)) or not all(_depth(item) == 1 for item in value):
        return False
    lengths = {len(item) for item in value}
    shared = _depth(t) == 1 and not isinstance(t, str)
    return shared and len(lengths) == 1 and len(t) == len(value) != next(iter(lengths))


def run_times(t: Any, lengths: Sequence[int], several: bool) -> list[np.ndarray]:
    """The times of each run: given, shared, or evenly spaced with a given step."""
    if t is None:
        raise DataError("t is missing: give the times of the rows, shape (time,), or the step between them")
    if _is_step(t):
        ts = [t] * len(lengths)
    elif isinstance(t, (list, tuple)) and several and _depth(t) == 1 and len(t) == len(lengths):
        steps = all(_is_step(item) for item in t) and set(lengths) != {len(t)}
        ts = list(t) if steps or all(_depth(item) for item in t) else [t] * len(lengths)
    elif is_many(t, ndim=1) and (several or isinstance(t, (list, tuple))):
        ts = list(t)
    else:
        ts = [t] * len(lengths)
    if len(ts) != len(lengths):
        raise DataError(f"x has {len(lengths)} runs but t has {len(ts)}; give one t per run")
    return [
        _evenly(item, n, of_run(i, several)) if _is_step(item) else checks.to_floats(item, f"t{of_run(i, several)}")
        for i, (item, n) in enumerate(zip(ts, lengths, strict=True))
    ]


def _is_step(t: Any) -> bool:
    return isinstance(t, (int, float, np.number)) or (getattr(t, "ndim", None) == 0 and hasattr(t, "__float__"))


def _evenly(step: Any, n: int, of_run: str) -> np.ndarray:
    value = float(checks.to_floats(step, f"t{of_run}"))
    if not 0 < value < np.inf:
        raise DataError(f"t{of_run} is {value:g}: a single number is the step between the rows and must be above zero")
    return value * np.arange(n)


def of_run(i: int, several: bool) -> str:
    """How a message names one of several runs."""
    return f" of run {i}" if several else ""


def by_name(tables: list[Any], names: tuple[str, ...] | None, kind: str) -> tuple[list[Any], tuple[str, ...] | None]:
    """Bring the columns of data frames, one for each run, into one order, and say in which.

    Names that were given and merely reorder the columns choose their order; others rename them.
    """
    frames = [(i, table) for i, table in enumerate(tables) if hasattr(table, "columns")]
    if not frames:
        return tables, names
    first = [str(column) for column in frames[0][1].columns]
    order = list(names) if names is not None and sorted(names) == sorted(first) else first
    out = list(tables)
    for i, frame in frames:
        present = [str(column) for column in frame.columns]
        if len(set(present)) != len(present):
            double = next(name for name in present if present.count(name) > 1)
            raise DataError(f"{kind}: there are two columns named {double!r}; give every column its own name")
        if sorted(present) != sorted(order):
            raise DataError(
                f"{kind} of run {i}: the columns are {', '.join(present)}, those of run {frames[0][0]} "
                f"{', '.join(order)}; all runs need the same"
            )
        if present != order:
            where = [present.index(name) for name in order]
            out[i] = frame.iloc[:, where] if hasattr(frame, "iloc") else frame[order]
    return out, tuple(order) if names is None else names


def in_order(table: Any, names: Sequence[str], what: str, *, loose: bool = False) -> Any:
    """Bring the columns of a data frame or a mapping, or of a list with some, into the order of ``names``.

    Args:
        table: a frame, a mapping from name to values, or a list of such; anything else is returned as it is.
        names: the names that it must have, no more and no fewer.
        what: what it is called in a message, "X" or "u".
        loose: whether other columns will do, by position, where ``names`` are those of nameless arrays.

    Raises:
        DataError: the columns have other names.
    """
    if isinstance(table, (list, tuple)):
        named = any(hasattr(item, "columns") or isinstance(item, Mapping) for item in table)
        return [in_order(item, names, what, loose=loose) for item in table] if named else table
    if not hasattr(table, "columns") and not isinstance(table, Mapping):
        return table
    present = [str(column) for column in (table if isinstance(table, Mapping) else table.columns)]
    if sorted(present) == sorted(names):
        if isinstance(table, Mapping):
            columns = [checks.to_floats(table[name], f"{what}, {name!r}") for name in names]
            if len({column.shape for column in columns}) > 1:
                raise DataError(f"{what}: the values of {', '.join(names)} have different lengths; give one per row")
            return np.stack(columns, axis=-1)
        where = [present.index(name) for name in names]
        return table.iloc[:, where] if hasattr(table, "iloc") else table[list(names)]
    if loose and len(present) == len(names) and not isinstance(table, Mapping) and is_unnamed(names, what):
        return table.to_numpy()
    raise DataError(f"{what}: the columns are {', '.join(present)}, but the equations are of {', '.join(names)}")


def is_unnamed(names: Sequence[str], what: str) -> bool:
    """Whether these are the names x0, x1, ... (or u0, u1, ...) that arrays without names get."""
    return all(name[0] == what.lower() and name[1:].isdecimal() for name in names)


def refuse_other_names(items: Sequence[Any], what: str) -> None:
    """Ask about a list of series of different names: the states of one run, or runs of one state?"""
    if len(items) < 2 or not all(hasattr(item, "iloc") and getattr(item, "ndim", 0) == 1 for item in items):
        return
    names = dict.fromkeys(str(item.name) for item in items if item.name is not None)
    if len(names) > 1:
        raise DataError(
            f"{what} is a list of series named {short(', '.join(names))}: if they are columns of one run, give a frame "
            "(pandas.concat(..., axis=1)); if they are runs of one column, give its name (names=, input_names=)"
        )


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) >= 1


def _depth(value: Any) -> int:
    if isinstance(value, (list, tuple)):
        return 1 + (_depth(value[0]) if value else 0)
    return int(getattr(value, "ndim", 0))


def as_columns(values: np.ndarray, what: str) -> np.ndarray:
    """A table ``(time, columns)``; a vector is one column."""
    if values.ndim == 1:
        return values[:, None]
    if values.ndim != 2:
        raise DataError(f"{what} must have shape (time, columns) or (time,), got {values.shape}")
    return values
