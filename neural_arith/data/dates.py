"""Dates and times of day as numbers: days, or hours, since the first one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from neural_arith.errors import DataError

Place = Callable[[int], str]
"""How a message calls row ``i`` of a column, as in ``line 7``."""

_CLOCK = r"(\d{1,3}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([AaPp])\.?[Mm]\.?)?"
_REST = rf"(?:(?:\s*[T,]\s*|\s+){_CLOCK}\s*(Z|UTC|[+-]\d{{2}}:?\d{{2}})?)?"
_ISO = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_REST}")
_MONTH = re.compile(r"(\d{4})-(\d{1,2})")
_LOCAL = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}|\d{{2}}){_REST}")
_WORDS = re.compile(
    rf"(?:(\d{{1,2}})[-. ]+([A-Za-z]{{3,9}})[-., ]+|([A-Za-z]{{3,9}})[ .]+(\d{{1,2}}),? +)(\d{{4}}){_REST}"
)
_TIME = re.compile(_CLOCK)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_EPOCH = datetime(1970, 1, 1)
_DAY = 86_400_000_000  # microseconds


def is_date(text: str) -> bool:
    """Whether a cell holds a date, with or without a time of day."""
    return any(pattern.fullmatch(text) for pattern in (_ISO, _LOCAL, _MONTH)) or _worded(text) is not None


def is_clock(text: str) -> bool:
    """Whether a cell holds a time of day or a duration, such as 09:48."""
    return _TIME.fullmatch(text) is not None


def read_dates(cells: Sequence[str], name: str, place: Place) -> tuple[np.ndarray, str]:
    """Dates as days since the earliest one, NaN where a cell is empty, and the sentence that says so."""
    order, why = _order(cells, name, place)
    stamps = np.zeros(len(cells), dtype=np.int64)
    there = np.array([bool(cell) for cell in cells])
    zones: dict[bool, int] = {}
    for i, cell in enumerate(cells):
        if not cell:
            continue
        found = _date(cell, order)
        if found is None:
            raise DataError(f"{place(i)}, column {name!r}: expected a date like the others, got {cell!r}")
        stamp, zoned = found
        zones.setdefault(zoned, i)
        stamps[i] = stamp
    if len(zones) == 2:
        raise DataError(
            f"column {name!r}: some times have a time zone ({place(zones[True])}) and some have none "
            f"({place(zones[False])}); write all of them alike"
        )
    return days_since(stamps, there, name, why)


def days_since(stamps: np.ndarray, there: np.ndarray, name: str, why: str = "") -> tuple[np.ndarray, str]:
    """Days since the earliest of some microseconds since 1970; NaN where ``there`` is False."""
    if not there.any():
        return np.full(len(stamps), np.nan), ""
    first = int(stamps[there].min())
    days = np.where(there, (stamps - first) / _DAY, np.nan)
    since = (_EPOCH + timedelta(microseconds=first)).isoformat(" ").removesuffix(" 00:00:00")
    return days, f"Times are days since {since}, the first in column {name!r}{why}."


def read_clock(cells: Sequence[str], codes: np.ndarray, name: str, unit: str, place: Place) -> tuple[np.ndarray, str]:
    """Times of day as hours since the earliest one; where they fall back by more than half a day, midnight passed.

    It passes in each run, as ``codes`` number them, for itself. Where the name or the ``unit`` in a row of units says
    ``mm:ss``, two parts are minutes and seconds, and the answer is in minutes.
    """
    short = "mm:ss" in f"{name} {unit}".lower()
    seconds = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if not cell:
            continue
        found = _TIME.fullmatch(cell)
        value = None if found is None else _seconds(found.groups(), short)
        if value is None:
            hint = "" if found is None else "; minutes and seconds are written 00:35:20, or mm:ss stands in the name"
            raise DataError(f"{place(i)}, column {name!r}: expected a time of day like the others, got {cell!r}{hint}")
        seconds[i] = value
    passed = 0
    for code in np.unique(codes):
        rows = np.flatnonzero((codes == code) & np.isfinite(seconds))
        back = np.diff(seconds[rows]) < -43_200
        passed += int(back.sum())
        seconds[rows[1:]] += 86_400 * np.cumsum(back)
    if not np.isfinite(seconds).any():
        return seconds, ""
    first = int(np.nanargmin(seconds))
    size, word = (60.0, "minutes") if short else (3600.0, "hours")
    midnight = "" if not passed else f"; where they fall back by more than 12 hours a new day began ({passed} times)"
    if passed == 1:
        midnight = "; midnight passed once"
    return (
        seconds - seconds[first]
    ) / size, f"Times are {word} since {cells[first]}, the first in column {name!r}{midnight}."


def compact_dates(values: np.ndarray) -> np.ndarray | None:
    """Microseconds since 1970 where all numbers are dates written as 20240301; None where one is not."""
    if len(values) < 2 or not ((values >= 19000101) & (values <= 21001231) & (np.floor(values) == values)).all():
        return None
    stamps = []
    for value in values.astype(np.int64).tolist():
        try:
            stamps.append(_stamp(datetime(value // 10000, value // 100 % 100, value % 100)))
        except ValueError:
            return None
    return np.array(stamps, dtype=np.int64)


def _order(cells: Sequence[str], name: str, place: Place) -> tuple[str, str]:
    """Whether days or months come first where both are numbers: what some row decides, else points mean days."""
    first_big = second_big = -1
    example, mark, at = "", "", -1
    for i, cell in enumerate(cells):
        found = _LOCAL.fullmatch(cell) if cell else None
        if found is None:
            continue
        a, mark, b, year = found.group(1, 2, 3, 4)
        if len(year) == 2 and mark != ".":
            raise DataError(
                f"{place(i)}, column {name!r}: which part of {cell!r} is the year? Write dates as 2024-03-01"
            )
        if at < 0:
            example, at = cell, i
        if int(a) > 12 and first_big < 0:
            first_big = i
        if int(b) > 12 and second_big < 0:
            second_big = i
    if at < 0:
        return "day", ""
    if first_big >= 0 and second_big >= 0:
        raise DataError(
            f"column {name!r}: {cells[first_big]!r} ({place(first_big)}) has the day first, {cells[second_big]!r} "
            f"({place(second_big)}) the month; write all dates as 2024-03-01"
        )
    if first_big >= 0:
        return "day", f" (the day stands first, as {cells[first_big]} shows)"
    if second_big >= 0:
        return "month", f" (the month stands first, as {cells[second_big]} shows)"
    if mark == ".":
        return "day", " (read with the day first)"
    a, b, year = re.split(r"[-/.\s]", example)[:3]
    raise DataError(
        f"{place(at)}, column {name!r}: does {example!r} mean day {int(a)} of month {int(b)} or day {int(b)} of month "
        f"{int(a)}? No row decides; write dates as {year}-{b:0>2}-{a:0>2} (year-month-day)"
    )


def _date(cell: str, order: str) -> tuple[int, bool] | None:
    """Microseconds since 1970 and whether a time zone was given; None for what is no date of the calendar."""
    try:
        if found := _ISO.fullmatch(cell):
            parts = found.groups()
            year, month, day, rest = int(parts[0]), int(parts[2]), int(parts[3]), parts[4:]
        elif found := _LOCAL.fullmatch(cell):
            parts = found.groups()
            day, month = (int(parts[0]), int(parts[2])) if order == "day" else (int(parts[2]), int(parts[0]))
            year, rest = int(parts[3]), parts[4:]
            if len(parts[3]) == 2:
                year += 2000 if year < 70 else 1900
        elif found := _MONTH.fullmatch(cell):
            year, month, day, rest = int(found[1]), int(found[2]), 1, (None,) * 6
        elif worded := _worded(cell):
            year, month, day, rest = worded
        else:
            return None
        stamp = _stamp(datetime(year, month, day))
        if rest[0] is None:
            return stamp, False
        seconds = _seconds(rest[:5], short=False)
        if seconds is None or seconds >= 86_400:
            return None
        stamp += round(seconds * 1e6)
        zone = rest[5]
        if zone and zone[0] in "+-":
            offset = 60 * int(zone[1:3]) + int(zone[-2:])
            stamp -= int(f"{zone[0]}1") * offset * 60_000_000
        return stamp, zone is not None
    except ValueError:  # 31 February
        return None


def _worded(cell: str) -> tuple[int, int, int, tuple[str | None, ...]] | None:
    """Year, month, day and the rest of a date like 1 Mar 2024 or March 1, 2024."""
    found = _WORDS.fullmatch(cell)
    if found is None:
        return None
    word = (found[2] or found[3]).lower()
    if word[:3] not in _MONTHS:
        return None
    return int(found[5]), _MONTHS.index(word[:3]) + 1, int(found[1] or found[4]), found.groups()[5:]


def _seconds(parts: Sequence[str | None], short: bool) -> float | None:
    hours, minutes, seconds, fraction, half = parts
    h, m, s = int(hours or 0), int(minutes or 0), int(seconds or 0)
    if short and seconds is None:
        h, m, s = 0, h, m
        if s > 59:
            return None
    elif m > 59 or s > 59 or (seconds is None and h > 24):
        return None
    if half is not None:
        if not 1 <= h <= 12:
            return None
        h = h % 12 + (12 if half in "pP" else 0)
    return 3600.0 * h + 60.0 * m + s + (float(f"0.{fraction}") if fraction else 0.0)


def _stamp(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_datetime64(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds since 1970 and where there are any, of dates as NumPy holds them."""
    there = ~np.isnat(values)
    stamps = values.astype("datetime64[us]").astype(np.int64)
    return np.where(there, stamps, 0), there


def iso(value: object) -> str:
    """A date, time or time stamp of Python or pandas as the text that is read as such."""
    if isinstance(value, datetime):
        value = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return value.isoformat(" ")
    return value.isoformat()  # pyright: ignore[reportAttributeAccessIssue]
