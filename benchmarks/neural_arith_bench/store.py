"""The one store of results: rows by their key, beside the commands, commits and versions that made them.

``NAME.json`` holds all of it, one row a line. Experiments with thousands of rows of one shape keep them as
``NAME.csv``, and commands and versions in ``NAME.json`` beside it. Files are written whole or not at all; several
processes may add rows to one file.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib.metadata
import io
import json
import os
import platform
import subprocess
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from neural_arith.errors import DataError
from neural_arith.files import locked, write_text

_PACKAGES = ("neural-arith", "torch", "numpy", "scipy", "sympy", "numba")

Key = tuple[Hashable, ...]
Row = dict[str, Any]
R = TypeVar("R")


@cache
def commit() -> str:
    """The commit of this checkout as it is when first asked, "-dirty" where files differ from it."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not a checkout)"
    return done.stdout.strip()


def provenance(command: str, packages: Sequence[str] = ()) -> dict[str, Any]:
    """What is needed to make a result again: command, commit, versions, processor count.

    Args:
        command: the command line, without paths of this machine.
        packages: optional packages whose versions matter; those that are not installed are left out.
    """
    installed = {dist.name for dist in importlib.metadata.distributions()} if packages else set()
    chosen = (*_PACKAGES, *(name for name in packages if name in installed))
    return {
        "command": command,
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in chosen},
        "cores": os.cpu_count(),
    }


def content(path: Path) -> dict[str, Any]:
    """What a JSON file holds: ``made_by``, what `provenance` returned for each command, ``summary`` and ``rows``.

    Args:
        path: the file; early ones tell the last command only.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    made = found["made_by"]
    return found | {"made_by": made if isinstance(made, list) else [made]}


def made_by(path: Path) -> list[dict[str, Any]]:
    """What `provenance` returned for each command that added rows to a file, ``.json`` or ``.csv``."""
    return content(path.with_suffix(".json"))["made_by"]


def origin(path: Path) -> str:
    """Commands with their commits, and versions, as Markdown.

    Args:
        path: the file, ``.json`` or ``.csv``.
    """
    made = made_by(path)
    commands = "\n".join(dict.fromkeys(f"{one['command']}  # {one['commit']}" for one in made))
    versions = dict.fromkeys(
        f"Python {one['python']}, {', '.join(f'{k} {v}' for k, v in one['versions'].items())}, {one['cores']} cores"
        for one in made
    )
    return f"```bash\n{commands}\n```\n\nBehind each command stands the commit. {'; '.join(versions)}."


class Store(Generic[R]):
    """Rows by their key, kept in a file if there is one.

    Args:
        path: of the file, its ending says in which form; None keeps nothing.
        key: the fields that no two rows share; rows stand in their order.
        kind: the dataclass of the rows; ``dict`` for dictionaries, which only JSON can hold.
        summarise: what the rows come to, kept with them in JSON.
        packages: see `provenance`.

    Attributes:
        rows: by key.

    Raises:
        DataError: the folder cannot be made, or a file is there that holds no such rows.
    """

    def __init__(
        self,
        path: Path | None,
        key: Sequence[str],
        kind: type[R],
        *,
        summarise: Callable[[list[Any]], dict[str, Any]] | None = None,
        packages: Sequence[str] = (),
    ) -> None:
        self.path, self.key, self.kind = path, tuple(key), kind
        self.summarise, self.packages = summarise, packages
        self.rows: dict[Key, R] = {}
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.rows = self._read()
            except OSError as error:
                raise DataError(f"{path}: {error.strerror}; choose another folder") from None

    @property
    def summary(self) -> dict[str, Any]:
        """What the rows come to."""
        return {} if self.summarise is None else self.summarise(list(self.rows.values()))

    def add(self, rows: Iterable[R], command: str) -> None:
        """Add rows, in place of those with the same key, and write the file; rows of other processes stay.

        Args:
            rows: the rows; a dictionary gets the commit, as the rows of one file may come from several.
            command: the command line that made them, without paths of this machine.

        Raises:
            DataError: the file cannot be written.
        """
        whole = [row | {"commit": commit()} if isinstance(row, dict) else row for row in rows]
        new: dict[Key, Any] = {self._key(row): row for row in whole}
        self.rows |= new
        if self.path is None:
            return
        with locked(self.path):  # another process may have added rows since
            found = self.rows | self._read() | new
            self.rows = {key: found[key] for key in sorted(found, key=_order)}
            self._write(provenance(command, self.packages))

    def _key(self, row: Any) -> Key:
        return tuple(row[name] if isinstance(row, dict) else getattr(row, name) for name in self.key)

    def _read(self) -> dict[Key, R]:
        path = self.path
        if path is None or not path.exists():
            return {}
        try:
            if path.suffix == ".csv":
                rows = _from_csv(path, self.kind)
            else:
                rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            return {self._key(row): row for row in rows}
        except (ValueError, KeyError, TypeError, csv.Error):
            raise DataError(f"{path} does not hold rows of this benchmark; move it away") from None

    def _write(self, made: dict[str, Any]) -> None:
        if self.path is None:
            return
        try:
            known = made_by(self.path) if self.path.with_suffix(".json").exists() else []
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{self.path} has no record beside it of how its rows were made; move it away") from None
        head: dict[str, Any] = {"made_by": [*(one for one in known if one != made), made]}
        if self.path.suffix == ".csv":
            write_text(self.path.with_suffix(".json"), json.dumps(head, indent=1) + "\n")
            write_text(self.path, _to_csv(self.rows.values(), self.kind))
            return
        lines = ",\n".join("  " + json.dumps(row) for row in self.rows.values())
        text = json.dumps(head | {"summary": self.summary}, indent=1)
        write_text(self.path, f'{text[:-2]},\n "rows": [\n{lines}\n ]\n}}\n')


def in_folder(folder: Path | None, name: str, ending: str = "json") -> Path | None:
    """The path of a result file by the name of its benchmark; None without a folder."""
    return None if folder is None else folder / f"{name.replace('-', '_')}.{ending}"


def _order(key: Key) -> tuple[Any, ...]:
    """A key for sorting; None comes first."""
    return tuple((part is not None, part) for part in key)


def _columns(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _to_csv(rows: Iterable[Any], kind: type) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_columns(kind))
    writer.writerows(dataclasses.astuple(row) for row in rows)  # None as nothing, floats so that they read back exactly
    return buffer.getvalue()


def _from_csv(path: Path, kind: type[R]) -> list[R]:
    hints = get_type_hints(kind)
    with path.open(encoding="utf-8", newline="") as lines:
        table = csv.DictReader(lines, strict=True)
        if tuple(table.fieldnames or ()) != _columns(kind):
            raise ValueError
        return [kind(**{name: _value(cells[name], hints[name]) for name in _columns(kind)}) for cells in table]


def _value(cell: str, hint: Any) -> Any:
    types = get_args(hint) or (hint,)
    if not cell and NoneType in types:
        return None
    (plain,) = (t for t in types if t is not NoneType)
    return {"True": True, "False": False}[cell] if plain is bool else plain(cell)
