"""Compiled code on disk: read again when it is whole, made anew when it is damaged, done without where it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from neural_arith.solve.compiled.cache import compiled

@compiled()
def double(x):
    return 2.0 * x

@compiled()
def quadruple(x):
    return double(double(x))
"""
PROGRAM = """
import warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    import small
    print(small.quadruple(1.5), sum(small.quadruple.stats.cache_hits.values()))
    print(*[one.message for one in said])
"""


def run(folder: Path, **environment: str) -> tuple[str, str]:
    """The answer with the number of functions read from disk, and warnings, of a new process."""
    (folder / "small.py").write_text(MODULE)
    path = os.pathsep.join([str(folder), *sys.path])
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": "", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    answer, warning = done.stdout.splitlines()
    return answer, warning


def test_a_damaged_file_is_made_anew(tmp_path):
    assert run(tmp_path) == ("6.0 0", "")
    assert run(tmp_path) == ("6.0 1", "")
    kept = sorted((tmp_path / "__pycache__").glob("small.*.nb?"))
    assert len(kept) == 4
    for file in kept:
        file.write_bytes(file.read_bytes()[:-20])  # the end is missing
    assert run(tmp_path) == ("6.0 0", "")
    for file in kept:
        content = bytearray(file.read_bytes())
        if file.suffix == ".nbc":
            content[len(content) // 2] ^= 255  # within the machine code
            file.write_bytes(content)
    assert run(tmp_path) == ("6.0 0", "")
    assert run(tmp_path) == ("6.0 1", "")


@pytest.mark.skipif(os.name != "posix", reason="needs a folder that cannot be made")
def test_without_a_folder_to_write_to_it_is_compiled_and_said(tmp_path):
    (tmp_path / "__pycache__").touch()
    answer, warning = run(tmp_path, HOME="/dev/null", XDG_CACHE_HOME="/dev/null/none")
    assert answer == "6.0 0"
    assert warning.startswith("compiled code cannot be kept (there is no folder that can be written to)")
    assert warning.count("cannot be kept") == 1
