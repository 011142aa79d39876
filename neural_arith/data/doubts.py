"""What a table of numbers leaves in doubt: codes for missing values, rows that repeat or stand in no order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neural_arith.data.cells import count
from neural_arith.data.checks import MIN_POINTS, same_times
from neural_arith.data.tables import Table
from neural_arith.errors import DataError

_FILL = 1e20  # what files of models and satellites write for "no value" is larger
_WORDS = {1: "once", 2: "twice"}


def refuse_codes(table: Table) -> None:
    """Ask about numbers such as 9999 and -999 that stand far outside all others of their column."""
    columns = [(table.time_name, table.time)]
    columns += list(zip(table.names, table.states.T, strict=True))
    columns += list(zip(table.input_names, table.inputs.T, strict=True))
    for name, values in columns:
        code = _code(values)
        if code is None:
            continue
        rows = np.flatnonzero(values == code)
        rest = values[np.isfinite(values) & (values != code)]
        size = float(np.median(np.abs(rest)))
        times = f", {abs(code) / size:.3g} times the others" if size > 0 else ""
        at = " and ".join(str(line) for line in table.lines[rows[:2]]) + (" ..." if len(rows) > 2 else "")
        text = f"{code:.12g}"
        often = _WORDS.get(len(rows), f"{len(rows)} times")
        raise DataError(
            f"{name!r} is {text} {often} ({table.word}{'s' if len(rows) > 1 else ''} {at}){times}: a code for missing? "
            f"If so, say missing=[{text}] (--missing={text}); if it was measured, missing=[] (--missing=none)"
        )


def _code(values: np.ndarray) -> float | None:
    """A number of nines only, or of a huge size, that stands apart from all others of a column.

    A negative one among others that never are is asked about wherever it is farther from them than any two of them from
    each other; else it must be far beyond their range.
    """
    rest = values[np.isfinite(values)]
    found: list[float] = []
    while len(rest):
        extremes = [v for v in (float(rest.max()), float(rest.min())) if _looks_like_code(v)]
        if not extremes or len(found) > 4:
            break
        found += extremes
        rest = rest[~np.isin(rest, extremes)]
    if len(rest) < MIN_POINTS - 1 or not found:
        return None
    low, high = float(rest.min()), float(rest.max())
    widest = float(np.diff(np.sort(rest)).max())
    for code in found:
        gap = max(low - code, code - high)
        if low >= 0 > code > -_FILL and abs(code) >= 99 and not code % 1 and gap > widest and high > 0:
            return code  # what is never negative otherwise needs no large code
        if (code % 1 or abs(code) < 100) and (values == code).sum() < 2:  # 99 and 99.9 are measured now and then
            continue
        if gap > 2.0 * max(high - low, 0.0) and gap > max(abs(low), abs(high)) and not low == high == 0.0:
            return code
    return None


def _looks_like_code(value: float) -> bool:
    if abs(value) >= _FILL:
        return True
    digits = f"{abs(value):.6f}".rstrip("0").replace(".", "") if abs(value) < 1e9 else ""
    return len(digits) > 1 and set(digits) == {"9"}


def arrange(table: Table) -> tuple[list[np.ndarray], list[str], list[str]]:
    """Sort the rows of a table into runs over increasing times: for each its rows, its label, and what was done.

    Rows that are equal count once. Where every time stands equally often, the first rows of all times are one run, the
    second rows another, and so on. Rows in no order are sorted where the user said which column is the time. A row
    without time, two rows with one time and other values, and an order in doubt are DataErrors.
    """
    bad = np.flatnonzero(~np.isfinite(table.time))
    if bad.size:
        what = "has no time" if np.isnan(table.time[bad[0]]) else "has an infinite time"
        raise DataError(f"{table.place(bad[0])} {what} (column {table.time_name!r}); every row needs one")
    order = np.argsort(table.codes, kind="stable")
    edges = np.searchsorted(table.codes[order], np.arange(1, len(table.labels)))
    runs: list[np.ndarray] = []
    labels: list[str] = []
    repeated: list[int] = []
    shuffled: list[str] = []
    copies = 0
    for label, rows in zip(table.labels, np.split(order, edges), strict=True):
        called = f"run {label!r}: " if label else ""
        if _increases(table.time[rows]):
            runs.append(rows)
            labels.append(label)
            continue
        rows, dropped = _once(table, rows)
        repeated += dropped
        parts = _replicates(table, rows, called)
        copies = max(copies, len(parts) if len(parts) > 1 else 0)
        for k, part in enumerate(parts, 1):
            if not _increases(table.time[part]):
                part = _sorted(table, part, called)
                shuffled.append(label)
            runs.append(part)
            labels.append(label if len(parts) == 1 else " ".join(filter(None, (label, str(k)))))
    return runs, labels, _said(table, repeated, copies, shuffled)


def _said(table: Table, repeated: list[int], copies: int, shuffled: list[str]) -> list[str]:
    notes = []
    if repeated:
        at = ", ".join(str(table.lines[row]) for row in sorted(repeated)[:5]) + (", ..." if len(repeated) > 5 else "")
        verb = "repeats an earlier row and was" if len(repeated) == 1 else "repeat earlier rows and were"
        notes.append(f"{table.word.capitalize()}{'' if len(repeated) == 1 else 's'} {at} {verb} left out.")
    if copies:
        notes.append(
            f"Every time stands {copies} times: the first rows of all times were read as one run, the second rows as "
            "another, and so on. Average them beforehand if they are repeated measurements of one run."
        )
    if shuffled:
        of = "" if not any(shuffled) else f" of {count(len(set(shuffled)), 'run')}"
        notes.append(f"The rows{of} were not in the order of {table.time_name!r} and were sorted.")
    return notes


def _increases(times: np.ndarray) -> bool:
    return bool((np.diff(times) > 0).all()) and not same_times(times).any()


def _values(table: Table, rows: np.ndarray) -> np.ndarray:
    return np.column_stack([table.states[rows], table.inputs[rows]])


def _once(table: Table, rows: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Rows without those that repeat an earlier one, unless every time stands equally often with other values."""
    whole = np.column_stack([table.time[rows], _values(table, rows)]) + 0.0  # which makes -0.0 zero
    key = whole.view(np.dtype((np.void, whole.itemsize * whole.shape[1]))).ravel()  # missing values are equal, too
    first = np.unique(key, return_index=True)[1]
    _, counts = np.unique(table.time[rows], return_counts=True)
    if len(first) == len(rows) or (counts.min() == counts.max() and len(first) > len(counts)):
        return rows, []
    keep = np.isin(np.arange(len(rows)), first)
    return rows[keep], rows[~keep].tolist()


def _replicates(table: Table, rows: np.ndarray, called: str) -> list[np.ndarray]:
    """One part of the rows per replicate; a single part where every time stands once."""
    times = table.time[rows]
    ordered = rows[np.argsort(times, kind="stable")]
    distinct, counts = np.unique(times, return_counts=True)
    n = int(counts.max())
    if n == 1:
        return [rows]
    twice = int(np.flatnonzero(counts > 1)[0])
    a, b = rows[np.flatnonzero(times == distinct[twice])[:2]]
    backward = int((np.diff(times) < 0).sum())
    even = bool((counts == n).all()) and len(distinct) >= MIN_POINTS and backward in (0, n - 1) and table.time_said
    if even:
        parts = [ordered[k::n] for k in range(n)]
        _refuse_run_column(table, parts)
        return parts
    raise DataError(
        f"{called}{table.time_name} = {table.time[a]:.12g} stands twice, {table.word}s {table.lines[a]} and "
        f"{table.lines[b]}, with different values; {_advice('keep or average one row per time', table)}"
    )


def _refuse_run_column(table: Table, parts: Sequence[np.ndarray]) -> None:
    """A column that is constant in each part and differs between all of them tells the runs apart."""
    for name, column in zip(
        (*table.names, *table.input_names), _values(table, np.arange(len(table.time))).T, strict=True
    ):
        values = {float(column[part[0]]) for part in parts}
        if len(values) == len(parts) and all((column[part] == column[part[0]]).all() for part in parts):
            raise DataError(
                f"every {table.time_name} stands {len(parts)} times, and {name!r} tells the rows apart: if it numbers "
                f"the runs, say so (group={name!r}, --group); otherwise leave it out of the states"
            )


def _sorted(table: Table, rows: np.ndarray, called: str) -> np.ndarray:
    times = table.time[rows]
    order = np.argsort(times, kind="stable")
    near = same_times(times[order])
    if near.any():
        i = int(np.flatnonzero(near)[0])
        a, b = rows[order[i]], rows[order[i + 1]]
        raise DataError(
            f"{called}{table.time_name} = {times[order[i]]:.12g} stands twice but for rounding, {table.word}s "
            f"{table.lines[a]} and {table.lines[b]}; {_advice('keep or average one row per time', table)}"
        )
    backward = np.flatnonzero(np.diff(times) <= 0)
    lengths = np.diff(np.concatenate([[0], backward + 1, [len(times)]]))
    falling = len(backward) == len(times) - 1
    if table.time_said and (falling or lengths.min() < MIN_POINTS):
        return rows[order]
    i = int(backward[0])
    raise DataError(
        f"{called}times must increase, but {table.time_name} = {times[i + 1]:.12g} ({table.place(rows[i + 1])}) "
        f"follows {times[i]:.12g}; {_advice('sort the rows', table)}"
    )


def _advice(what: str, table: Table) -> str:
    other = "" if table.time_said else f"; if {table.time_name!r} is not the time, say which column is (time=, --time)"
    return f"{what}, or name the column that tells several runs apart (group=, --group){other}"
