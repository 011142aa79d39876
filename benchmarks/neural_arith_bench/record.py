"""Results as data: rows next to the command, commit, seed and versions that made them, written whole or not at all."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neural_arith.files import locked, write_text

_PACKAGES = ("neural-arith", "torch", "numpy", "scipy", "sympy", "numba")


@cache
def commit() -> str:
    """The commit of this checkout as it is when first asked, "-dirty" where files differ from it."""
    here = Path(__file__).parent
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not a checkout)"


def provenance(command: str, packages: Sequence[str] = ()) -> dict[str, Any]:
    """What is needed to make a result again: command, commit, versions, processor count.

    Args:
        command: the command line, without paths of this machine.
        packages: optional packages whose versions matter; those that are not installed are left out.
    """
    installed = {dist.name for dist in importlib.metadata.distributions()} if packages else set()
    chosen = (*_PACKAGES, *(name for name in packages if name in installed))
    versions = {name: importlib.metadata.version(name) for name in chosen}
    return {
        "command": command,
        "commit": commit(),
        "python": platform.python_version(),
        "versions": versions,
        "cores": os.cpu_count(),
    }


def origin(path: Path) -> str:
    """Commands with their commits, and versions, as Markdown.

    Args:
        path: a file whose ``made_by`` lists what `provenance` returned.
    """
    made = json.loads(path.read_text(encoding="utf-8"))["made_by"]
    commands = "\n".join(dict.fromkeys(f"{one['command']}  # {one['commit']}" for one in made))
    versions = dict.fromkeys(
        f"Python {one['python']}, {', '.join(f'{k} {v}' for k, v in one['versions'].items())}, {one['cores']} cores"
        for one in made
    )
    return f"```bash\n{commands}\n```\n\nBehind each command stands the commit. {'; '.join(versions)}."


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of an earlier, perhaps interrupted, run; none when there is no file."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def run_seeds(
    one: Callable[[int], dict[str, Any]],
    seeds: int,
    *,
    name: str,
    command: str,
    out: Path | None,
    summarise: Callable[[list[dict[str, Any]]], dict[str, Any]],
) -> int:
    """Make the rows of the seeds that the result file lacks, keep each one at once, and print the summary.

    Args:
        one: makes the row of one seed.
        seeds: how many, from 0 on.
        name: of the result file, without its ending, and of the progress bar.
        command: the command line, without paths of this machine.
        out: folder of the result file; None keeps nothing.
        summarise: what the rows come to.

    Returns:
        Exit code 0.
    """
    path = None if out is None else out / f"{name}.json"
    rows = [] if path is None else read_rows(path)
    done = {row["seed"] for row in rows}
    for seed in tqdm([s for s in range(seeds) if s not in done], desc=name):
        row = one(seed)
        rows = [*rows, row] if path is None else add_row(path, command, row, lambda kept: kept["seed"], summarise)
    _tell(summarise(rows))
    return 0


def add_row(
    path: Path,
    command: str,
    row: Mapping[str, Any],
    key: Callable[[Any], Any],
    summarise: Callable[[list[dict[str, Any]]], dict[str, Any]],
    *,
    packages: Sequence[str] = (),
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Add a row to those of a file, which other processes may add to as well.

    Args:
        path: the file, made if it is missing.
        command: the command line, without paths of this machine.
        row: what is added, in place of the row with the same key.
        key: of a row, a number or a tuple; the file is sorted by it.
        summarise: what the rows come to.
        packages: see `provenance`.
        quiet: do not say so on standard error.

    Returns:
        All rows of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        kept = {key(one): one for one in read_rows(path)} | {key(row): dict(row)}
        rows = [kept[place] for place in sorted(kept)]
        write(path, command, rows, summarise(rows), packages=packages, quiet=quiet)
    return rows


def conclude(
    name: str, command: str, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], out: Path | None
) -> int:
    """Print a summary, and keep it with its rows where a folder is named.

    Args:
        name: of the result file, without its ending.
        command: the command line, without paths of this machine.
        rows: results.
        summary: what they come to.
        out: folder of the result file; None keeps nothing.

    Returns:
        Exit code 0.
    """
    _tell(summary)
    if out is not None:
        write(out / f"{name}.json", command, rows, summary)
    return 0


def _tell(summary: Mapping[str, Any]) -> None:
    for key, value in summary.items():
        print(f"{key}: {value}")


def write(
    path: Path,
    command: str,
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    *,
    packages: Sequence[str] = (),
    quiet: bool = False,
) -> None:
    """Write rows, one a line, and their summary as JSON; the file is replaced in one step.

    Args:
        path: the file.
        command: the command line, without paths of this machine.
        rows: results.
        summary: what they come to.
        packages: see `provenance`.
        quiet: do not say so on standard error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    head = json.dumps({"made_by": provenance(command, packages), "summary": summary}, indent=1)
    text = f'{head[:-2]},\n "rows": [\n{lines}\n ]\n}}\n'
    write_text(path, text)
    if not quiet:
        print(f"wrote {path}", file=sys.stderr)
