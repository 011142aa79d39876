"""Results as data: rows next to the command, commit, seed and versions that made them, written whole or not at all."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PACKAGES = ("neural-arith", "torch", "numpy", "scipy", "sympy", "numba")


def provenance(command: str) -> dict[str, Any]:
    """What is needed to make a result again: command, commit, versions, processor count.

    Args:
        command: the command line, without paths of this machine.
    """
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown (not a checkout)"
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "command": command,
        "commit": commit,
        "python": platform.python_version(),
        "versions": versions,
        "cores": os.cpu_count(),
    }


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of an earlier, perhaps interrupted, run; none when there is no file."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def write(path: Path, command: str, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """Write rows, one a line, and their summary as JSON; the file is replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    head = json.dumps({"made_by": provenance(command), "summary": summary}, indent=1)
    text = f'{head[:-2]},\n "rows": [\n{lines}\n ]\n}}\n'
    draft = path.with_suffix(path.suffix + ".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    print(f"wrote {path}", file=sys.stderr)
