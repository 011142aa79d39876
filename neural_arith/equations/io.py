"""Equations in files: readable JSON with a version, read back by our own formula reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from neural_arith.errors import DataError, EquationError
from neural_arith.files import checked_path, write_text

if TYPE_CHECKING:
    from neural_arith.equations.system import EquationSystem

FORMAT = "neural_arith equations"
VERSION = 1
MAX_BYTES = 1_000_000
MAX_WORK = 40_000
"""What reading the formulas of a file may cost, in operations of a sum; that many take about a second."""

_COSTS = (
    (re.compile(r"\b[Aa]bs\s*\("), 80),
    (re.compile(r"[^\W\d]\w*\s*\("), 20),
    (re.compile(r"\*\*|/"), 6),
    (re.compile(r"[-+*]"), 2),
)


def save(equations: EquationSystem, path: str | Path) -> None:
    """Write a system to a JSON file; decimal numbers keep all their digits.

    Args:
        equations: the system.
        path: the file; an older one is replaced in one step.

    Raises:
        DataError: the file cannot be written.

    Examples:
        >>> import tempfile
        >>> import neural_arith as na
        >>> from neural_arith.equations import save
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(na.EquationSystem({"x": "-0.5*x"}), f"{folder}/decay.json")
        ...     print(na.load(f"{folder}/decay.json"))
        d x/dt = -0.5*x
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "states": list(equations.states),
        "inputs": list(equations.inputs),
        "equations": equations.to_text(None),
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_file(path: str | Path) -> tuple[dict[str, str], list[str]]:
    """What `save` (or a person with an editor) wrote: each state's formula as text, in order, and the inputs.

    Raises:
        EquationError: the file is missing, is not such JSON, has a newer version, or holds more than can be read.
    """
    try:
        with checked_path(path).open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise EquationError(f"{path} has more than {MAX_BYTES} bytes; files of equations are smaller")
        content = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_unique)
    except DataError as error:
        raise EquationError(str(error)) from None
    except OSError as error:
        raise EquationError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise EquationError(f"{path} is not a file of equations: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise EquationError(f'{path} is not a file of equations: it must hold "format": "{FORMAT}"')
    if content.get("version") != VERSION:
        raise EquationError(
            f"{path} has version {content.get('version')!r} of the format, but this package reads {VERSION}; "
            "update the package"
        )
    states, inputs, texts = (content.get(key) for key in ("states", "inputs", "equations"))
    if not isinstance(states, list) or not isinstance(inputs, list) or not isinstance(texts, dict):
        raise EquationError(f"{path} must hold the lists states and inputs and the mapping equations")
    if not all(isinstance(name, str) for name in states) or sorted(states) != sorted(texts):
        raise EquationError(f"{path} must hold one equation for each of its states, no more and no fewer")
    wrong = [name for name, text in texts.items() if not isinstance(text, str)]
    if wrong:
        raise EquationError(f"{path}: the equation of {wrong[0]} must be text")
    work = _work(texts.values())
    if work > MAX_WORK:
        raise EquationError(
            f"{path} holds more than can be read at once: {work} operations, but at most {MAX_WORK} are (a function "
            "counts for 20); give such a system to EquationSystem"
        )
    return {state: texts[state] for state in states}, inputs


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _work(formulas: Iterable[str]) -> int:
    """What formulas cost to read, names between backticks aside."""
    bare = [re.sub(r"`[^`]*`", "_", text) for text in formulas]
    return sum(cost * len(pattern.findall(text)) for text in bare for pattern, cost in _COSTS)
