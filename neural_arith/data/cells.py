"""Columns of text as numbers: decimal commas, thousands, units and percent in cells, limits, words for missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from neural_arith.data.dates import is_clock, is_date
from neural_arith.errors import DataError

_PLAIN_MISSING = frozenset({"", "na", "n/a", "nan", "<na>", "nat", "null", "none"})
MISSING_WORDS = _PLAIN_MISSING | {
    *("-", "--", "---", "–", "—", "?", "??", "???", ".", "..", "...", "n.a.", "n.d.", "nd", "missing", "-nan"),
    *("#n/a", "#na", "#value!", "#div/0!", "#ref!", "#num!", "#name?", "#null!"),
}
"""Cells, in lower case and without blanks around them, that are read as a missing value."""

_LIMIT_WORDS = frozenset({"bdl", "<lod", "<loq", "<dl", "lod", "loq", "b.d.l.", "bd", "<mdl", "bql", "blq"})
_GAPS = "'’\u00a0\u202f\u2009 "  # what separates thousands beside comma and point
_CELL = re.compile(
    rf"(?P<limit>[<>≤≥]=?)?\s*(?P<sign>[+-]?)(?P<body>(?:\d(?:[\d.,]|[{_GAPS}](?=\d{{3}}(?!\d)))*|[.,]\d+)(?<!,))"
    r"(?P<exponent>[eEdD][+-]?\d+)?\s*(?P<unit>[^\d\s.,<>+-].*)?"
)
_WORD = r"[°µμ]?[^\W\d_]+(?:[²³]|\^?-?[1-9](?!\d))?"
_UNIT = re.compile(rf"%|‰|°|(?:%|{_WORD})(?:\s?[/·*]\s?{_WORD}|\s{_WORD})*|1/{_WORD}")
_NO_UNIT = re.compile(r"[eEdDxXoObB]\d*")
_GROUPS = {
    mark: re.compile(rf"[1-9]\d{{0,2}}(?:{re.escape(other)}\d{{3}})+(?:{re.escape(mark)}\d*)?")
    for mark, other in ((".", ","), (",", "."))
}
_DOUBTFUL = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")  # 1.224, which may be 1224
_SIMPLE = {mark: re.compile(rf"\d+(?:{re.escape(mark)}\d*)?|{re.escape(mark)}\d+") for mark in ".,"}
_SPACED = re.compile(rf"\d{{1,3}}([{_GAPS}])\d{{3}}(?:\1\d{{3}})*(?:[.,]\d*)?")

Place = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell that holds a number.

    Attributes:
        point: the number if the decimal mark is a point; None if it cannot be.
        comma: the number if the decimal mark is a comma; None if it cannot be.
        unit: what follows the number.
        limit: ``<`` or ``>`` before it, else "".
    """

    point: float | None
    comma: float | None
    unit: str
    limit: str


def read_cell(text: str) -> Cell | None:
    """Read a cell that is not missing; None where it holds no number."""
    if text.lower().lstrip("+-") in ("inf", "infinity"):  # refused later, by its right name
        return Cell(float(text), float(text), "", "")
    found = _CELL.fullmatch(text.replace("\u2212", "-"))
    if found is None:
        return None
    unit = (found["unit"] or "").strip()
    if unit and (_NO_UNIT.fullmatch(unit) or not _UNIT.fullmatch(unit.strip("[]() "))):
        return None
    body, exponent = found["body"], found["exponent"] or ""
    if any(gap in body for gap in _GAPS):
        if not _SPACED.fullmatch(body):
            return None
        body = "".join(c for c in body if c not in _GAPS)
    readings = []
    for mark, other in ((".", ","), (",", ".")):
        if _SIMPLE[mark].fullmatch(body):
            digits = body.replace(mark, ".")
        elif not exponent and _GROUPS[mark].fullmatch(body):
            digits = body.replace(other, "").replace(mark, ".")
        else:
            readings.append(None)
            continue
        readings.append(float(found["sign"] + digits + exponent.replace("d", "e").replace("D", "e")))
    if readings == [None, None]:
        return None
    return Cell(readings[0], readings[1], unit, found["limit"] or "")


def is_missing(text: str) -> bool:
    """Whether a cell without blanks around it stands for a missing value."""
    return text.lower() in MISSING_WORDS


def is_measured(text: str) -> bool:
    """Whether a cell looks like a number, a limit, a date or a time of day."""
    try:
        float(text)
        return "_" not in text
    except ValueError:
        pass
    return is_date(text) or is_clock(text) or text.lower() in _LIMIT_WORDS or read_cell(text) is not None


@dataclass(frozen=True, eq=False)
class Column:
    """A column of text, looked at.

    Attributes:
        name: its name.
        texts: its cells without blanks around them, "" where missing.
        kind: "numbers", "dates", "clock", "words" or "nothing".
        missing: what was taken as missing, with counts.
        plain: the numbers where Python reads all of them, else None.
        commas: they have decimal commas, which some cell leaves no doubt about.
    """

    name: str
    texts: list[str]
    kind: str
    missing: Counter[str]
    plain: np.ndarray | None = None
    commas: bool = False

    @cached_property
    def cells(self) -> list[Cell | None]:
        """For each row the number read, None where there is none."""
        known: dict[str, Cell | None] = {"": None}
        for text in self.texts:
            if text not in known:
                limit = text.lower() in _LIMIT_WORDS
                known[text] = Cell(np.nan, np.nan, "", "<") if limit else read_cell(text)
        return [known[text] for text in self.texts]

    @cached_property
    def marks(self) -> set[str]:
        """The decimal marks that some cell leaves no doubt about."""
        if self.commas:
            return {","}
        if self.plain is not None:
            return {"." for text in self.texts if "." in text and not _DOUBTFUL.fullmatch(text)}
        certain = {"," for cell in self.cells if cell is not None and cell.point is None}
        return certain | {"." for cell in self.cells if cell is not None and cell.comma is None}


def look_at(name: str, texts: Sequence[str], missing: frozenset[str]) -> Column:
    """Find out what a column of texts holds; a few cells that do not fit leave the kind as it is."""
    gone: Counter[str] = Counter()
    kept: list[str] = []
    for text in texts:
        text = text.strip()
        word = text.lower()
        if word in MISSING_WORDS or text in missing:
            gone[text] += 1
            text = ""
        kept.append(text)
    if (plain := plain_numbers(kept)) is not None:
        return Column(name, kept, "numbers" if any(kept) else "nothing", gone, plain)
    if set(map(str.lower, kept)) <= {"true", "false", ""}:
        values = np.array([{"true": 1.0, "false": 0.0}.get(text.lower(), np.nan) for text in kept])
        return Column(name, kept, "numbers", gone, values)
    if (plain := _with_commas(kept)) is not None:
        return Column(name, kept, "numbers", gone, plain, commas=True)
    column = Column(name, kept, "words", gone)
    there = sum(1 for text in kept if text)
    numbers = sum(1 for cell in column.cells if cell is not None)
    dates = sum(1 for text in kept if text and is_date(text)) if numbers < there else 0
    clocks = sum(1 for text in kept if text and is_clock(text)) if numbers + dates < there else 0
    if dates + clocks > there // 2:
        return replace(column, kind="dates" if dates >= clocks else "clock")
    return replace(column, kind="numbers" if numbers else "words")


def plain_numbers(texts: Sequence[str], missing: Sequence[str] = ("",)) -> np.ndarray | None:
    """The numbers where Python reads all of them, NaN where a text is a missing one; else None."""
    if "_" in "".join(texts):  # float() would take 1_000
        return None
    try:
        return np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
    except ValueError:
        pass
    try:
        return np.array([np.nan if text.strip() in missing else float(text) for text in texts], dtype=np.float64)
    except ValueError:
        return None


def _with_commas(texts: list[str]) -> np.ndarray | None:
    """Numbers with decimal commas, at full speed, where no cell has a point and some comma is certain."""
    if "." in "".join(texts) or any(text.endswith(",") for text in texts):
        return None
    if all(_DOUBTFUL.fullmatch(text.replace(",", ".")) for text in texts if "," in text):
        return None
    return plain_numbers([text.replace(",", ".") for text in texts])


def to_numbers(column: Column, file_marks: set[str], place: Place) -> tuple[np.ndarray, str, list[str]]:
    """Turn a column of kind "numbers" or "nothing" into numbers, its unit, and sentences on what was assumed.

    ``file_marks`` are the decimal marks that are certain anywhere in the table, ``place`` tells how to call a row. A
    cell that is no number, or means two things, is a DataError.
    """
    where = f"column {column.name!r}"
    if column.plain is not None and (column.commas or file_marks != {","} or column.marks):
        return column.plain, "", _said(column, [])
    for i, (text, cell) in enumerate(zip(column.texts, column.cells, strict=True)):
        if text and cell is None:
            raise DataError(f"{place(i)}, {where}: expected a number, got {short(text)}{_hint(text)}")
    mark = _mark(column, file_marks, place)
    values = np.full(len(column.cells), np.nan)
    limited: list[str] = []
    units: dict[str, int] = {}
    grouped = ""
    for i, cell in enumerate(column.cells):
        if cell is None:
            continue
        if cell.limit:
            limited.append(column.texts[i])
            if cell.unit:
                units.setdefault(cell.unit, i)
            continue
        units.setdefault(cell.unit, i)
        value = cell.point if mark == "." else cell.comma
        if value is None:
            raise DataError(f"{place(i)}, {where}: expected a number, got {short(column.texts[i])}")
        values[i] = value
        if not grouped and _is_grouped(column.texts[i], mark):
            grouped = f"{column.texts[i]} is {value:g}" if value < 1e6 else f"{column.texts[i]} is {value:.0f}"
    if len(units) > 1:
        (first, a), (second, b) = list(units.items())[:2]
        raise DataError(
            f"{where} is not in one unit: {column.texts[a]!r} ({place(a)}) and {column.texts[b]!r} ({place(b)}); "
            f"write all its numbers in {(first or second)!r}"
        )
    unit = next(iter(units), "")
    return values, unit.strip("[]() "), [*_said(column, limited), *_said_grouped(column, grouped)]


def _said(column: Column, limited: list[str]) -> list[str]:
    notes = []
    if limited:
        examples = ", ".join(map(repr, dict.fromkeys(limited[:3])))
        notes.append(
            f"In {column.name!r} {count(len(limited), 'value')} beyond a limit of detection ({examples}) "
            f"{'counts' if len(limited) == 1 else 'count'} as missing."
        )
    if any(text.lower() == "true" for text in column.texts):
        notes.append(f"In {column.name!r} true was read as 1, false as 0.")
    words = {word: n for word, n in column.missing.items() if word.lower() not in _PLAIN_MISSING}
    if words:
        listed = ", ".join(f"{word!r}" if n == 1 else f"{word!r} ({n} times)" for word, n in words.items())
        notes.append(f"In {column.name!r} taken as missing: {listed}.")
    return notes


def _said_grouped(column: Column, example: str) -> list[str]:
    return [f"In {column.name!r} thousands are separated: {example}."] if example else []


def _mark(column: Column, file_marks: set[str], place: Place) -> str:
    """The decimal mark of a column: its own where it is certain, else that of the table, else a point."""
    own = column.marks
    if len(own) == 2:
        a = next(i for i, cell in enumerate(column.cells) if cell is not None and cell.comma is None)
        b = next(i for i, cell in enumerate(column.cells) if cell is not None and cell.point is None)
        raise DataError(
            f"column {column.name!r} has decimal points ({column.texts[a]!r}, {place(a)}) and decimal commas "
            f"({column.texts[b]!r}, {place(b)}); write all alike"
        )
    if own:
        return next(iter(own))
    doubtful = next(
        (i for i, c in enumerate(column.cells) if c is not None and not c.limit and c.point != c.comma), None
    )
    if doubtful is None:
        return "."
    if len(file_marks) == 1:
        return next(iter(file_marks))
    cell, text = column.cells[doubtful], column.texts[doubtful]
    if cell is None or ("," not in text and not file_marks):
        return "."
    raise DataError(
        f"{place(doubtful)}, column {column.name!r}: does {text!r} mean {cell.point:g} or {cell.comma:g}? Nothing in "
        "the table tells a separator of thousands from a decimal mark; write such numbers without separators"
    )


def _is_grouped(text: str, mark: str) -> bool:
    digits = text.lstrip("<>≤≥=+-\u2212 ")
    found = re.match(rf"[\d.,{_GAPS}]+", digits)
    body = found[0].strip() if found else ""
    return bool(_GROUPS[mark].fullmatch(body) or _SPACED.fullmatch(body))


def _hint(text: str) -> str:
    if "\n" in text or "\r" in text:
        return "; a quotation mark is missing or too many"
    if is_date(text) or is_clock(text):
        return "; dates and times of day are read in the time column only"
    return "; correct the cell, or leave it empty if the value is missing"


def count(n: int, noun: str) -> str:
    """``1 row``, ``3 rows``."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def short(value: object) -> str:
    """A cell as a message shows it."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
