"""The notebooks run, and the text stored in them is what they say today; numbers agree to a few digits.

Cells with the tag "varies" only run: what an unfinished training looks like depends on the processor's last bits.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

_NUMBER = re.compile(r"(?<![A-Za-z_0-9.])(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![A-Za-z_])")
_NOTHING = 1e-6  # errors of this size are those of rounding, which another processor makes differently
_DIGITS = 0.1


def said(cell: Any) -> str:
    """What a cell printed and what its last line gave, as text."""
    parts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.get("outputs", [])]
    return "".join("".join(part) for part in parts)


def agree(stored: str, today: str) -> bool:
    """Whether two texts are the same but for the last digits of numbers, and for the spaces that go with them."""
    words = [" ".join(_NUMBER.sub("#", text).split()) for text in (stored, today)]
    if words[0] != words[1]:
        return False
    pairs = zip(*([float(n) for n in _NUMBER.findall(text)] for text in (stored, today)), strict=True)
    return all(math.isclose(a, b, rel_tol=_DIGITS, abs_tol=_NOTHING) for a, b in pairs)


def test_texts_are_compared_number_by_number():
    assert agree("d x/dt = -0.5*x**2\n", "d x/dt = -0.501*x**2")
    assert agree("error 1e-09", "error 3e-09")
    assert agree("one:   10.0", "one:    9.99")
    assert not agree("d x/dt = -0.5*x**2", "d x/dt = 0.5*x**2")
    assert not agree("d x/dt = -0.5*x**2", "d x/dt = -0.5*x**3")
    assert not agree("7 others", "16 others")
    assert not agree("x0 + 1", "x1 + 1")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_says_today_what_is_stored_in_it(path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    stored = json.loads(path.read_text(encoding="utf-8"))["cells"]
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    for number, (old, new) in enumerate(zip(stored, notebook["cells"], strict=True)):
        if "varies" in old["metadata"].get("tags", ()):
            continue
        assert agree(said(old), said(new)), f"cell {number}, run `make notebooks`:\n{said(old)}\nis now\n{said(new)}"
