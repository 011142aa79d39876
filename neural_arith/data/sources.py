"""Files as text: in which encoding, and what is no text at all."""

from __future__ import annotations

import codecs
import csv
import datetime
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

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
    """Open a file, or the first sheet of a workbook, as text that can be read several times.

    Args:
        path: the file; a pipe will do.

    Yields:
        The text, its line ends as they are, and what was assumed about it.

    Raises:
        DataError: it is no text, damaged, or cannot be opened.
    """
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
