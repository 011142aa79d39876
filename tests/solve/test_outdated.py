"""Compiled code of changed sources is forgotten, also where the change is in a file that it only calls into."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neural_arith.solve.compiled.cache import forget_outdated

FILES = ("a/__pycache__/low.f-3.py311.nbi", "b/__pycache__/high.g-7.py311.nbi")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Two sources, compiled a second after the later one."""
    for number, name in enumerate(("a/low.py", "b/high.py", *FILES)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (100 + number, 100 + number))
    return tmp_path


def test_nothing_changed(package):
    assert forget_outdated(package) == []
    assert all((package / name).exists() for name in FILES)


@pytest.mark.parametrize("changed", ["a/low.py", "b/high.py"])
def test_one_changed_source_makes_all_old(package, changed):
    os.utime(package / changed, (200, 200))
    assert sorted(forget_outdated(package)) == [package / name for name in FILES]
    assert not any((package / name).exists() for name in FILES)


def test_a_source_that_is_gone_or_never_compiled_makes_nothing_old(package):
    (package / "b/high.py").unlink()
    (package / "a/other.py").touch()
    assert forget_outdated(package) == []
