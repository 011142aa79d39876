"""The checks every measurement passes: one place, one clear ``DataError`` for each possible fault."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from neural_arith.data.cells import count, is_missing, read_cell, short
from neural_arith.data.dates import is_clock, is_date
from neural_arith.errors import DataError

MIN_POINTS = 4
"""Fewer samples than this in a run say nothing about curvature, so nothing about an equation."""

_LARGEST_SPAN = 1e50
# A state counts as constant when it moves by no more than a few units in the last place.
_CONSTANT = 4.0 * np.finfo(float).eps


def to_number(value: Any, where: str) -> float:
    """One cell as a number, NaN for any kind of "nothing here"; all else is a DataError that says ``where``."""
    if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return float("nan")
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return _text_to_number(value, where)
    try:
        return float(value)
    except OverflowError:
        raise DataError(f"{where}: the number is too large for a float; rescale the column") from None
    except (TypeError, ValueError):
        hint = _DATE_HINT if hasattr(value, "isoformat") else ""
        raise DataError(f"{where}: expected a number, got {short(value)}{hint}") from None


_DATE_HINT = "; a date must be converted to numbers first, such as days since the first measurement"


def _text_to_number(text: str, where: str) -> float:
    text = text.strip()
    if is_missing(text):
        return float("nan")
    if "_" not in text:  # float() would take "1_000"
        try:
            return float(text)
        except ValueError:
            pass
    cell = read_cell(text)
    hint = ""
    if cell is not None and cell.point is None:
        hint = "; write decimal points, not decimal commas"
    elif is_date(text) or is_clock(text):
        hint = _DATE_HINT
    raise DataError(f"{where}: expected a number, got {short(text)}{hint}")


def to_floats(values: Any, what: str, columns: Sequence[str] | None = None) -> np.ndarray:
    """Turn anything array-like into a float64 array; masked and missing entries become NaN.

    Args:
        values: array-like of any shape, a tensor included.
        what: the name of the thing for messages.
        columns: names along the last axis of a two-dimensional array, for messages.

    Returns:
        A new float64 array of the same shape.

    Raises:
        DataError: an entry is no real number, or the rows have different lengths.
    """
    if isinstance(values, Mapping):
        raise DataError(f"{what}: expected numbers, got a mapping of {short(list(values))}; give an array")
    if _holds_masks(values):  # NumPy drops the masks of arrays in a list, and takes no tensors with a gradient
        values = [to_floats(item, what, columns) for item in values]
    if hasattr(values, "detach"):  # a torch tensor, perhaps with a gradient or on a device
        values = values.detach().cpu()
        values = values.tolist() if str(values.dtype) == "torch.bfloat16" else values.numpy()  # NumPy has no such type
    if isinstance(values, np.ma.MaskedArray):
        if values.dtype.kind in "fiub":
            values = np.ma.filled(values.astype(float), np.nan)
        else:
            values = values.filled(None) if values.dtype.kind == "O" else values.data
    elif _is_numeric_frame(values):  # nullable columns would become objects
        values = values.to_numpy(dtype=float, na_value=np.nan)
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"{what}: the rows have different lengths; give a rectangular array") from None
    if array.dtype.kind in "fiub":
        with np.errstate(over="ignore"):  # a long double beyond float64 becomes inf and is caught as such
            return np.array(array, dtype=np.float64, order="C")
    if array.dtype.kind in "mM":
        raise DataError(f"{what}: expected numbers, got dates (dtype {array.dtype}){_DATE_HINT}")
    if array.dtype.kind == "c":
        raise DataError(f"{what}: expected real numbers, got complex ones; pass real and imaginary parts as states")
    out = np.empty(array.shape, dtype=np.float64)
    for index in np.ndindex(array.shape):
        where = f"{what}, row {index[0]}" if index else what
        if len(index) > 1:
            label = columns[index[-1]] if columns is not None and index[-1] < len(columns) else index[-1]
            where += f", column {label!r}"
        out[index] = to_number(array[index], where)
    return out


def _holds_masks(values: Any) -> bool:
    """A list with masked arrays or tensors in it, at any depth."""
    return isinstance(values, (list, tuple)) and any(
        isinstance(item, np.ma.MaskedArray) or hasattr(item, "detach") or _holds_masks(item) for item in values
    )


def _is_numeric_frame(values: Any) -> bool:
    """A pandas frame or series whose columns all hold real numbers, with or without gaps."""
    if not hasattr(values, "iloc"):
        return False
    kinds = [getattr(dtype, "kind", "O") for dtype in (values.dtypes if values.ndim == 2 else [values.dtype])]
    return bool(kinds) and all(kind in "fiub" for kind in kinds)


def same_times(t: np.ndarray) -> np.ndarray:
    """Which of ascending times but the first are, but for rounding, the one before: no curve can turn in such a gap."""
    if len(t) < 2:
        return np.zeros(0, dtype=bool)
    gap = np.diff(t)
    rounding = 256.0 * np.finfo(float).eps * np.abs(t[1:])
    return (gap == 0) | ((gap >= 0) & (gap <= rounding) & (gap <= 1e-11 * (t[-1] - t[0])))


def check_times(t: np.ndarray, run: str) -> None:
    """Ask for finite and strictly increasing times; the DataError names the first offending index of ``run``."""
    bad = np.flatnonzero(~np.isfinite(t))
    if bad.size:
        raise DataError(f"{run}: time at index {bad[0]} is {t[bad[0]]}; every row needs a finite time")
    with np.errstate(over="ignore"):
        span = float(t[-1]) - float(t[0])
        back = np.diff(t) < 0
        bad = np.flatnonzero(back | same_times(t))
    if not bad.size:
        if len(t) > 1 and not 1 / _LARGEST_SPAN < span < _LARGEST_SPAN:
            raise DataError(
                f"{run}: the times span {span:.3g}; powers of such numbers overflow: give them in another unit"
            )
        return
    i = int(bad[0]) + 1
    if not back[i - 1]:
        raise DataError(
            f"{run}: duplicate time {t[i]:.12g} at index {i}; keep or average one row per time, "
            "or make several runs of them (a list of arrays)"
        )
    raise DataError(
        f"{run}: times must increase, but at index {i} the time {t[i]:.12g} follows {t[i - 1]:.12g}; "
        "sort the rows, or make several runs of them (a list of arrays)"
    )


def check_values(
    x: np.ndarray,
    names: Sequence[str],
    run: str,
    *,
    missing: bool,
    word: str = "row",
    places: np.ndarray | None = None,
) -> None:
    """Ask for values ``(n, columns)`` without infinities and, unless ``missing``, without NaN.

    Messages call a row by ``word`` and its number in ``places``, or its index.
    """
    if np.isfinite(x).all():
        return
    bad = np.argwhere(np.isinf(x) if missing else ~np.isfinite(x))
    if not bad.size:
        return
    row, column = bad[0]
    at = f"{word} {row if places is None else places[row]}"
    if np.isnan(x[row, column]):
        raise DataError(
            f"{run}: input {names[column]!r} is missing at {at}; inputs drive the system and must be "
            "known everywhere: fill the gap, for example by interpolation"
        )
    raise DataError(f"{run}: {names[column]!r} is infinite at {at}; remove the row or mark the value missing (NaN)")


def check_names(names: Iterable[Any], taken: Sequence[str], kind: str) -> tuple[str, ...]:
    """Ask for different names that can be shown and, between backticks, stand in an equation; they stay as they are.

    ``taken`` are names already used for something else, ``kind`` is "state" or "input", for messages.
    """
    if isinstance(names, str):
        raise DataError(f"{kind} names must be a list of texts, got one text; write [{names!r}]")
    if not isinstance(names, Iterable):
        raise DataError(f"{kind} names must be a list of texts, got {short(names)}")
    out: list[str] = []
    for name in names:
        if not isinstance(name, str):
            raise DataError(f"{kind} names must be text, got {short(name)}")
        if not name.strip() or "`" in name or not name.isprintable():
            raise DataError(f"{kind} name {name!r} cannot be used; give printable text without backticks")
        if name in out:
            raise DataError(f"{kind} name {name!r} is used twice; names must differ")
        if name in taken:
            raise DataError(f"{kind} name {name!r} is already the name of another column or of the time")
        out.append(name)
    return tuple(out)


def check_informative(runs: Sequence[Any], names: Sequence[str]) -> None:
    """Ask for data to learn from: four points in every run, a value in every state, something that moves."""
    for i, run in enumerate(runs):
        if len(run.t) < MIN_POINTS:
            has = count(len(run.t), "point")
            raise DataError(f"{run_name(run, i)} has {has}; each run needs at least {MIN_POINTS}")
    for j, name in enumerate(names):
        if all(np.isnan(run.x[:, j]).all() for run in runs):
            raise DataError(f"state {name!r} has no value at all; leave the column out (states=...)")
    if len(constant_states(runs, names)) == len(names):
        listed = ", ".join(names)
        raise DataError(f"nothing changes: every state ({listed}) is constant, no motion to explain")


def constant_states(runs: Sequence[Any], names: Sequence[str]) -> tuple[str, ...]:
    """The names of the states that do not move within any run."""
    return tuple(name for j, name in enumerate(names) if all(_is_constant(run.x[:, j]) for run in runs))


def _is_constant(values: np.ndarray) -> bool:
    values = values[~np.isnan(values)]
    if not values.size:
        return True
    low, high = float(values.min()), float(values.max())
    return high - low <= _CONSTANT * max(abs(low), abs(high))


def run_name(run: Any, index: int) -> str:
    """Call a run by its label or, without one, by its place."""
    return f"run {run.label!r}" if run.label else f"run {index}"


def find_columns(wanted: Iterable[Any], present: Sequence[Any], what: str) -> list[Any]:
    """The wanted columns as a list, each once and present; else a DataError with close matches.

    ``what`` is their role ("state", "time", ...), for messages.
    """
    columns = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise DataError(f"{what} column {column!r} is named twice")
        if column in present:
            continue
        lower = {str(p).lower(): p for p in present}
        close = difflib.get_close_matches(str(column).lower(), list(lower), n=2, cutoff=0.6)
        hint = f"; did you mean {' or '.join(repr(lower[c]) for c in close)}?" if close else "."
        if any("," in str(p) and str(column) in [part.strip() for part in str(p).split(",")] for p in present):
            hint += " A name with a comma stands in double quotes (--states '\"a, b\"')."
        listed = ", ".join(map(repr, present[:20])) + (", ..." if len(present) > 20 else "")
        raise DataError(f"there is no {what} column {column!r}{hint} The columns are {listed}")
    return columns
