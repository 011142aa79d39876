"""Small tables in many dialects, damaged at random, with a strict reading of what is left of each.

Used to see that a reader never misreads: it may refuse, but what it returns must be what a patient person reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Dialect = tuple[str, str]
DIALECTS: tuple[Dialect, ...] = ((",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", "."))
"""What stands between cells, and the decimal mark."""

NAMES = ("time", "north", "south", "flow [l/s]", "T (°C)", "sigma", "pH", "a b")
_STRAY = (
    "\0",
    "\x01",
    '"',
    "'",
    ";",
    ",",
    "\t",
    "\ufeff",
    "é",
    "\r",
    "\n",
    " ",
    "-",
    "+",
    "e",
    ".",
    "%",
    "#",
    "x",
    "9",
)

_WORDS = (
    *("", "NA", "-", "n/a", "NaN", "#REF!", "<0.1", "oops", "1e", "--5", "5..3", "1,2,3", "12:99", "2020-13-45", "+"),
    *("0x1F", "1_000", "∞", "½", "= A1+B1", '"', "1e999", "9" * 400, "1 2", "1.5.2024", "5%", "3 mm", "1e5", "٣"),
)


@dataclass(frozen=True)
class Hostile:
    """A damaged table.

    Attributes:
        content: its bytes.
        damage: what was done to it, for messages.
        values: what is still certain of it: from time to the numbers of the columns; None where nothing is.
        names: the columns beside the time, as they were.
    """

    content: bytes
    damage: str
    values: dict[float, tuple[float, ...]] | None
    names: tuple[str, ...]


def hostile_table(seed: int) -> Hostile:
    """The table of a seed, damaged or not."""
    rng = np.random.default_rng(seed)
    separator, mark = DIALECTS[rng.integers(len(DIALECTS))]
    n, m = int(rng.integers(5, 14)), int(rng.integers(1, 4))
    names = [NAMES[i] for i in (0, *(1 + rng.permutation(len(NAMES) - 1)[:m]))]
    start, step = float(rng.integers(0, 50)), float(rng.choice([0.1, 0.25, 1.0, 2.0]))
    times = [round(start + step * i, 4) for i in range(n)]
    numbers = rng.normal(0.0, 10.0 ** rng.integers(0, 5), size=(n, m)).round(int(rng.integers(1, 5)))
    rows = [[_text(value, mark) for value in (t, *line)] for t, line in zip(times, numbers.tolist(), strict=True)]
    values = {t: tuple(line) for t, line in zip(times, numbers.tolist(), strict=True)}
    table = [names, *rows]
    kinds = ("cells", "lines", "bytes", "header", "encoding", "nothing")
    kind = kinds[rng.integers(len(kinds))]
    damage = kind
    certain: dict[float, tuple[float, ...]] | None = values
    if kind == "cells":
        damage, certain = _damage_cell(rng, table, values, times)
    text = "\n".join(separator.join(line) for line in table) + "\n"
    if kind == "lines":
        damage, text = _damage_lines(rng, text)
        certain = None if damage in ("a line cut", "two lines joined", "a line of another separator") else values
    if kind == "header":
        damage, text = _damage_header(rng, text, separator, names)
    if kind == "bytes":
        at = int(rng.integers(len(text)))
        stray = _STRAY[rng.integers(len(_STRAY))]
        cut = int(rng.integers(0, 2))
        damage, text, certain = f"{stray!r} at {at}, {cut} lost", text[:at] + stray + text[at + cut :], None
    coding = ("utf-8", "utf-8-sig", "utf-16", "cp1252")[rng.integers(4)] if kind == "encoding" else "utf-8"
    content = text.encode(coding, "replace")
    if kind == "encoding" and rng.integers(3) == 0:
        content, certain, damage = content[: int(rng.integers(1, len(content)))], None, f"{coding}, cut"
    return Hostile(content, damage, certain, tuple(names[1:]))


def strictly_read(content: bytes, separator_and_mark: Dialect) -> dict[float, tuple[float, ...]] | None:
    """Read a table in a known dialect: every cell a plain number or empty, every row of one width; else None.

    One separator more at the end of a line is no cell.
    """
    separator, mark = separator_and_mark
    try:
        coding = "utf-16" if content.startswith(b"\xff\xfe") else "utf-8-sig"
        lines = content.decode(coding).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError:
        return None
    width = len(lines[0].split(separator))
    rows = [line.split(separator) for line in lines[1:] if line]
    rows = [row[:-1] if len(row) == width + 1 and not row[-1] else row for row in rows]
    if not rows or any(len(row) != width for row in rows):
        return None
    try:
        numbers = [[float(cell.replace(mark, ".") or "nan") for cell in row] for row in rows]
    except ValueError:
        return None
    return {row[0]: tuple(row[1:]) for row in numbers}


def plausible(content: bytes, names: int) -> list[dict[float, tuple[float, ...]]]:
    """All strict readings of a table with so many columns beside the time, one for each dialect that fits."""
    found = [strictly_read(content, dialect) for dialect in DIALECTS]
    return [table for table in found if table and all(len(line) == names for line in table.values())]


def _text(value: float, mark: str) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".").replace(".", mark) or "0"


def _damage_cell(
    rng: np.random.Generator, table: list[list[str]], values: dict[float, tuple[float, ...]], times: list[float]
) -> tuple[str, dict[float, tuple[float, ...]] | None]:
    i, j = int(rng.integers(1, len(table))), int(rng.integers(0, len(table[0])))
    word = _WORDS[rng.integers(len(_WORDS))]
    table[i][j] = word
    missing = word in ("", "NA", "-", "n/a", "NaN", "#REF!", "<0.1")
    if not missing or j == 0:
        return f"cell ({i}, {j}) is {word[:20]!r}", None
    line = list(values[times[i - 1]])
    line[j - 1] = np.nan
    return f"cell ({i}, {j}) is {word!r}", {**values, times[i - 1]: tuple(line)}


def _damage_lines(rng: np.random.Generator, text: str) -> tuple[str, str]:
    lines = text.splitlines()
    i = int(rng.integers(1, len(lines)))
    what = ("a line cut", "two lines joined", "a line twice", "empty lines", "a comment", "a remark below",
            "a line of another separator", "blanks around")[rng.integers(8)]  # fmt: skip
    if what == "a line cut":
        lines[i] = lines[i][: int(rng.integers(0, len(lines[i])))]
    elif what == "two lines joined":
        lines[i - 1 : i + 1] = [lines[i - 1] + lines[i]]
    elif what == "a line twice":
        lines.insert(i, lines[i])
    elif what == "empty lines":
        lines[i:i] = ["", "  ", ""]
    elif what == "a comment":
        lines.insert(i, '# the lid was "off; for, a while')
    elif what == "a remark below":
        lines.append("measured by nobody")
    elif what == "a line of another separator":
        lines[i] = lines[i].translate(str.maketrans(",;\t|", "|,;\t"))
    else:
        lines = [f" {line} " for line in lines]
    return what, "\n".join(lines) + "\n"


def _damage_header(rng: np.random.Generator, text: str, separator: str, names: list[str]) -> tuple[str, str]:
    first, rest = text.split("\n", 1)
    kinds = ("quotes", "a title", "a padded title", "comments", "units", "an unnamed end")
    what = kinds[rng.integers(len(kinds))]
    if what == "quotes":
        first = separator.join(f'"{name}"' for name in names)
    elif what == "a title":
        first = f"Station 5\n\n{first}"
    elif what == "a padded title":
        first = f"Station{separator * (len(names) - 1)}\n{first}"
    elif what == "comments":
        first = f"# made by {separator} hand\n#\n{first}"
    elif what == "units":
        first = f"{first}\n{separator.join(['s', *['mm'] * (len(names) - 1)])}"
    else:
        first, rest = first + separator, rest.replace("\n", separator + "\n")
    return what, f"{first}\n{rest}"
