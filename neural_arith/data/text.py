"""Files as rows of cells: the encoding, what is no text at all, and where in a text a table begins."""

from __future__ import annotations

import codecs
import csv
import datetime
import io
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from neural_arith.data.cells import is_measured, is_missing, short
from neural_arith.errors import DataError

_BLOCK = 1 << 20
_NO_TEXT = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"\x1f\x8b", "compressed (gzip); unpack it first"),
    (b"BZh", "compressed (bzip2); unpack it first"),
    (b"\xfd7zXZ", "compressed (xz); unpack it first"),
    (b"%PDF", "a PDF; a table in it must be copied out and saved as CSV"),
    (b"\x89HDF", "an HDF5 file; read it with h5py or pandas and use Trajectories.from_arrays or from_frame"),
    (b"MATLAB 5.0", "a MATLAB file; read it with scipy.io.loadmat and use Trajectories.from_arrays"),
    (b"\x93NUMPY", "a NumPy file; read it with numpy.load and use Trajectories.from_arrays"),
    (b"PAR1", "a Parquet file; read it with pandas and use Trajectories.from_frame"),
    (b"\x89PNG", "a picture"),
)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a") | {127})
_NOT_WINDOWS = b"\x81\x8d\x8f\x90\x9d"  # bytes that Windows-1252 leaves free


@contextmanager
def open_text(path: Path) -> Iterator[tuple[TextIO, tuple[str, ...]]]:
    """Open a file, a pipe or the first sheet of a workbook as text to be read several times; say what was assumed."""
    encoding = "UTF-8"
    try:
        with path.open("rb") as file:
            raw: BinaryIO = file if file.seekable() else io.BytesIO(file.read())
            if raw.read(4) == b"PK\x03\x04":
                yield _unpacked(path, raw)
                return
            raw.seek(0)
            encoding, notes = _encoding(raw)
            raw.seek(0)
            yield io.TextIOWrapper(raw, encoding=encoding, newline=""), notes
    except OSError as error:
        raise DataError(f"cannot be opened ({error.strerror or error})") from None
    except UnicodeError as error:
        raise DataError(f"not readable as {encoding} text ({error}); save it anew as UTF-8") from None


def _encoding(raw: BinaryIO) -> tuple[str, tuple[str, ...]]:
    """By the mark at the beginning; else UTF-8 where every byte agrees, else what Western Windows writes."""
    head = raw.read(4096)
    for magic, what in _NO_TEXT:
        if head.startswith(magic):
            raise DataError(f"this is {what}")
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32", ()
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", ()
    if head.count(0) > len(head) // 3:  # every second byte of plain letters in UTF-16 is zero
        little = head[1::2].count(0) > head[::2].count(0)
        return "utf-16-le" if little else "utf-16-be", ("The text has no mark of its encoding; it was read as UTF-16.",)
    return _eight_bits(raw)


def _eight_bits(raw: BinaryIO) -> tuple[str, tuple[str, ...]]:
    decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    windows, lines, odd = True, 1, 0
    raw.seek(0)
    while block := raw.read(_BLOCK):
        if (at := block.find(b"\0")) >= 0:
            raise DataError(
                f"line {lines + block[:at].count(10)} holds NUL bytes: the file is damaged (a logger that lost power "
                "leaves such); remove them, and the line where its numbers are in doubt"
            )
        lines += block.count(b"\n")
        windows = windows and len(block.translate(None, _NOT_WINDOWS)) == len(block)
        odd += len(block) - len(block.translate(None, _CONTROL))
        try:
            if decoder is not None:
                decoder.decode(block)
        except UnicodeDecodeError:
            decoder = None
    try:
        if decoder is not None:
            decoder.decode(b"", final=True)
            return "utf-8-sig", ()
    except UnicodeDecodeError:
        pass
    if odd:
        raise DataError("this is no text, neither in UTF-8 nor in an older encoding; save the table as CSV")
    return ("cp1252" if windows else "latin-1"), ("The text is not UTF-8; it was read as Latin-1 (Windows-1252).",)


def _unpacked(path: Path, raw: BinaryIO) -> tuple[TextIO, tuple[str, ...]]:
    raw.seek(0)
    try:
        with zipfile.ZipFile(raw) as packed:
            members = packed.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        members = []
    if not any(member.startswith("xl/") for member in members):
        raise DataError("this is a zip archive; unpack it first, or save the table as CSV")
    try:
        import openpyxl  # pyright: ignore[reportMissingModuleSource]
    except ImportError:
        raise DataError(
            'this is an Excel workbook; save the sheet as CSV, or pip install "neural-arith[tables]" to read it'
        ) from None
    raw.seek(0)
    try:
        return _sheet(openpyxl.load_workbook(raw, read_only=True, data_only=True))
    except Exception as error:  # a damaged workbook raises whatever its XML runs into
        raise DataError(f"this Excel workbook cannot be read ({type(error).__name__}); save the sheet as CSV") from None


def _sheet(book: Any) -> tuple[TextIO, tuple[str, ...]]:
    """The first sheet with anything on it, as the CSV text that a spreadsheet would save."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    sheets = book.worksheets
    sheet = sheets[0]
    for sheet in sheets:
        for row in sheet.iter_rows(values_only=True):
            writer.writerow([_cell(value) for value in row])
        if text.getvalue().strip(',\n "'):
            break
    text.seek(0)
    names = ", ".join(repr(s.title) for s in sheets)
    return text, ((f"Of the sheets {names} only {sheet.title!r} was read.",) if len(sheets) > 1 else ())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat(*([" "] if isinstance(value, datetime.datetime) else []))
    return repr(value) if isinstance(value, float) else str(value)


def named(path: str | os.PathLike[str]) -> Path:
    """The path of a file, or one clear error for what is none."""
    try:
        found = Path(path)
    except TypeError:
        raise DataError(f"expected the path of a file, got {type(path).__name__}") from None
    if "\0" in str(found):
        raise DataError(f"{str(found)!r} cannot be the path of a file: it holds a NUL character")
    return found


_CHUNK = 50_000  # rows held as text at once
_SAMPLE = 60  # lines from which the layout is judged, comments not counted
_SEPARATORS = (",", ";", "\t", "|", " ", "  ")
"""What may stand between cells; one blank means any number of them, two blanks mean two or more."""

_COMMENT = re.compile(r"\s*(?:#(?!N/?A\b|REF!|VALUE!|DIV/0!|NUM!|NAME\?|NULL!)|//|%)")
_COMMENT_MARK = re.compile(r"\s*(?:#|//|%)+\s*")
_SPACED_QUOTE = re.compile(r'(?:^|[,;|]) +"')
_LONGEST = 1_000_000  # characters in a cell or a line


@dataclass(frozen=True)
class Layout:
    """How a table stands in its text.

    Attributes:
        separator: one of comma, semicolon, tab, bar, blanks.
        header: the column names, without blanks around them; "" where a column has none.
        line: the line on which the names begin.
        commented: the names stand in a comment, as ``numpy.savetxt`` writes them.
        spaced: blanks stand between separators and quotation marks.
        notes: what was passed over.
    """

    separator: str
    header: list[str]
    line: int
    commented: bool
    spaced: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    line: int
    cells: list[str]

    @property
    def filled(self) -> list[str]:
        return [cell for cell in self.cells if cell]

    @property
    def measured(self) -> bool:
        """All cells hold numbers, and some does."""
        return bool(self.filled) and all(is_measured(c) or is_missing(c) for c in self.filled) and self.has_value

    @property
    def has_value(self) -> bool:
        return any(is_measured(cell) for cell in self.filled)


def find_layout(text: TextIO) -> Layout:
    """Judge a text by its first lines.

    Args:
        text: the text, at its beginning.

    Returns:
        The layout.

    Raises:
        DataError: there is no table with column names.
    """
    lines: list[str] = []
    told = 0
    while told < _SAMPLE and (line := text.readline(_LONGEST + 1)):
        lines.append(line)
        told += not _COMMENT.match(line)
    if any(len(line) > _LONGEST for line in lines):
        raise DataError("a line has more than a million characters: this is no table")
    comments = [number for number, line in enumerate(lines, 1) if _COMMENT.match(line)]
    if not any(line.strip() for number, line in enumerate(lines, 1) if number not in comments):
        raise DataError("the file is empty; expected a line of column names and rows of numbers")
    cuts = {separator: _cut(lines, separator) for separator in _SEPARATORS}
    separator = max(_SEPARATORS[:-2], key=lambda s: _score(cuts[s]))
    if _score(cuts[" "])[0] > _score(cuts[separator])[0] + 0.2:  # blanks within titles and names separate nothing
        separator = " "
    if separator == " " and _fits(cuts["  "]) and not _fits(cuts[" "]):
        separator = "  "
    rows = cuts[separator]
    if max(len(row.cells) for row in rows) < 2:
        raise DataError(
            f"found one column only ({rows[0].cells[0][:40]!r}); expected a time column and at least one state, "
            "separated by comma, semicolon, tab, bar or blanks"
        )
    header, commented = _header(rows, lines, separator)
    passed = [row for row in rows if row.line < header.line and row.filled]
    notes = [
        f"Line {row.line} ({short(' '.join(row.filled))}) above the column names was passed over." for row in passed
    ]
    if others := [number for number in comments if not (commented and number == header.line)]:
        notes.insert(0, f"Comments were passed over, the first in line {others[0]}.")
    spaced = any(_SPACED_QUOTE.search(line) for line in lines)
    return Layout(separator, header.cells, header.line, commented, spaced, tuple(notes))


def read_rows(text: TextIO, layout: Layout, remarks: list[str]) -> Iterator[tuple[list[list[str]], list[int]]]:
    """Yield the rows below the column names in pieces, all of the width of the header, with their line numbers.

    Rows without content are skipped. A single text in a row of its own below all others is a remark.

    Args:
        text: the text, at its beginning.
        layout: its layout.
        remarks: filled with what was passed over below the table.

    Yields:
        Rows of cells as they stand, and their lines.

    Raises:
        DataError: a row has another width, or quotation marks do not fit.
    """
    width = len(layout.header)
    reader = _reader(_without_comments(text, layout), layout.separator, layout.spaced)
    try:
        numbered = _numbered(reader)
        next(row for row in numbered if row[1])  # the names
        tail: list[tuple[int, list[str]]] = []
        while pairs := list(islice(numbered, _CHUNK)):
            rows, lines = [p[1] for p in pairs if p[1]], [p[0] for p in pairs if p[1]]
            if tail or set(map(len, rows)) != {width} or any(not row[0] for row in rows):
                rows, lines, tail = _even([*tail, *zip(lines, rows, strict=True)], layout)
            if rows:
                yield rows, lines
        remarks += [f"Line {line} ({short(row[0].strip())}) below the table was passed over." for line, row in tail]
    except csv.Error as error:
        raise DataError(_quotes(str(error), reader.line_num)) from None


def _quotes(error: str, line: int) -> str:
    if "end of data" in error or "field larger" in error:
        return f"a quotation mark is opened and never closed, above line {line}; remove it"
    if "after" in error and "expected" in error:
        return f"line {line}: a quotation mark within a cell in quotes; double it or remove it"
    return f"line {line}: not a readable table ({error})"


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line on which each ends; one that runs over lines which look like rows is refused."""
    last = 0
    for row in reader:
        if reader.line_num > last + 1 and row:
            inside = max(row, key=len).splitlines()
            if len(inside) > 1 and any(line.count(",") + line.count(";") + line.count("\t") > 0 and _many(line, row)
                                       for line in inside[1:]):  # fmt: skip
                raise DataError(
                    f"line {last + 1}: a cell in quotes runs over {reader.line_num - last} lines that look like rows: "
                    "a quotation mark is missing or too many"
                )
        last = reader.line_num
        yield last, row


def _many(line: str, row: Sequence[str]) -> bool:
    cells = re.split(r"[,;\t]", line)
    return len(cells) >= len(row) - 1 and sum(is_measured(cell.strip(' "')) for cell in cells) >= 1


def _without_comments(text: Iterable[str], layout: Layout) -> Iterator[str]:
    """The lines from the column names on; comments, and what stands above, as empty lines, so that numbers stay."""
    for number, line in enumerate(text, 1):
        if number == layout.line and layout.commented:
            yield _COMMENT_MARK.sub("", line, count=1)
        elif number < layout.line or _COMMENT.match(line):
            yield "\n"
        else:
            yield line


def _reader(lines: Iterable[str], separator: str, spaced: bool, strict: bool = True) -> Any:
    if separator == " ":
        lines = (line.replace("\t", " ").strip() for line in lines)
        return csv.reader(lines, delimiter=" ", skipinitialspace=True, strict=strict)
    if separator == "  ":
        lines = (re.sub(r" {2,}", "\t", line.strip()) for line in lines)
        return csv.reader(lines, delimiter="\t", strict=strict)
    return csv.reader(lines, delimiter=separator, skipinitialspace=spaced, strict=strict)


def _cut(lines: Sequence[str], separator: str) -> list[_Row]:
    """The sample cut by a separator; what cannot be cut is left out."""
    reader = _reader(("\n" if _COMMENT.match(line) else line for line in lines), separator, True, strict=False)
    rows, last = [], 0
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append(_Row(last + 1, cells))
            last = reader.line_num
    except csv.Error:
        pass
    return rows or [_Row(1, [""])]


def _width(rows: Sequence[_Row]) -> int:
    return Counter(len(row.cells) for row in rows).most_common(1)[0][0]


def _score(rows: Sequence[_Row]) -> tuple[float, int]:
    """The share of cells that hold numbers, one of a kind first; without any, the cells of the first row."""
    if max(len(row.cells) for row in rows) < 2:
        return -1.0, 0
    cells = [cell for row in rows for cell in row.filled]
    wide = [cell for row in rows if len(row.cells) > 1 for cell in row.filled]
    share = sum(map(is_measured, wide)) / len(cells) if cells else 0.0
    return (share, 0) if share else (0.0, len(rows[0].cells))


def _fits(rows: Sequence[_Row]) -> bool:
    return len({len(row.cells) for row in rows}) == 1 and len(rows[0].cells) > 1


def _header(rows: Sequence[_Row], lines: Sequence[str], separator: str) -> tuple[_Row, bool]:
    """The first row as wide as most, not counting titles; else the words above the first numbers."""
    width = max(2, _width(rows))
    found = next((k for k, row in enumerate(rows) if len(row.cells) == width and _is_head(row)), len(rows))
    numbers = next((k for k, row in enumerate(rows) if len(row.filled) > 1 and row.measured), len(rows))
    if found < numbers or found == numbers == len(rows):
        k = found if found < len(rows) else 0
        _refuse_data(rows, k)
        return rows[k], False
    above = [row for row in rows[:numbers] if len(row.filled) > 1]
    if above:
        return above[-1], False
    first = rows[min(numbers, len(rows) - 1)]
    for number in range(first.line - 1, 0, -1):
        if not _COMMENT.match(lines[number - 1]):
            break
        named = _cut([_COMMENT_MARK.sub("", lines[number - 1], count=1)], separator)[0]
        if len(named.cells) == len(first.cells) and not named.has_value:
            return _Row(number, named.cells), True
    raise _no_names(first)


def _refuse_data(rows: Sequence[_Row], k: int) -> None:
    """A first row with numbers whose words come again below is data."""
    if rows[k].has_value and k + 1 < len(rows):
        pairs = zip(rows[k].cells, rows[k + 1].cells, strict=False)
        if any(a == b and a and not is_measured(a) and not is_missing(a) for a, b in pairs):
            raise _no_names(rows[k])


def _no_names(row: _Row) -> DataError:
    head = ",".join(["t", *(f"x{i}" for i in range(len(row.cells) - 1))])
    return DataError(
        f"the first line holds numbers ({', '.join(row.filled[:4])}); expected column names, so add "
        f"a line such as {head}"
    )


def _is_head(row: _Row) -> bool:
    only_first = len(row.filled) == 1 and bool(row.cells[0])  # a title that a spreadsheet padded with separators
    return bool(row.filled) and not only_first and not row.measured


def _even(
    numbered: Sequence[tuple[int, list[str]]], layout: Layout
) -> tuple[list[list[str]], list[int], list[tuple[int, list[str]]]]:
    """Rows with content, cut to the width; and those at the end that may be remarks below the table."""
    width = len(layout.header)
    kept: list[tuple[int, list[str]]] = []
    tail: list[tuple[int, list[str]]] = []
    for line, row in numbered:
        filled = [cell.strip() for cell in row if cell.strip()]
        if not filled:
            continue
        while len(row) > width and not row[-1].strip():
            row = row[:-1]
        if len(filled) == 1 and row[0].strip() and len(row) < width and _is_remark(filled[0]):
            tail.append((line, row))
            continue
        if tail:
            line, row = tail[0]
        if len(row) != width:
            raise DataError(
                f"line {line}: expected {width} cells as in the header, got {len(row)}"
                f"{_commas(row, width) if layout.separator == ',' else ''}"
            )
        kept.append((line, row))
    return [row for _, row in kept], [line for line, _ in kept], tail


def _is_remark(text: str) -> bool:
    """Words, not a row that was cut or stands between other separators."""
    return not is_measured(text) and sum(map(is_measured, re.split(r"[,;|\s]+", text))) < 2


def _commas(row: Sequence[str], width: int) -> str:
    """What to say where commas cut numbers in two."""
    if len(row) <= width:
        return ""
    for a, b in pairwise(row):
        if re.fullmatch(r"\s*[+-]?[1-9]\d{0,2}", a) and re.fullmatch(r"\d{3}", b):
            return f"; does a comma separate thousands, as in {a.strip()},{b}? Write such numbers without it"
    for a, b in reversed(list(pairwise(row))):
        if re.fullmatch(r"\s*[+-]?\d+", a) and re.fullmatch(r"\d+", b):
            return (
                f"; are there decimal commas, as in {a.strip()},{b}? Separate the cells by semicolons, or write "
                "decimal points"
            )
    return ""
