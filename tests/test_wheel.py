"""The two distributions: what is in the wheel of each, and what the command line says where only one is there."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

from neural_arith.cli import main

ROOT = Path(__file__).resolve().parent.parent


def _project(folder: str) -> dict:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))


def test_nothing_of_the_benchmarks_is_in_the_wheel_of_the_package():
    wheels = {folder: _project(folder)["tool"]["hatch"]["build"]["targets"]["wheel"] for folder in (".", "benchmarks")}
    assert wheels == {".": {"packages": ["neural_arith"]}, "benchmarks": {"packages": ["neural_arith_bench"]}}
    files = [path.relative_to(ROOT / "neural_arith") for path in (ROOT / "neural_arith").rglob("*.py")]
    assert len(files) > 50
    assert not [path for path in files if "bench" in str(path)]
    for path in files:
        assert "neural_arith_bench" not in (ROOT / "neural_arith" / path).read_text(encoding="utf-8"), path


def test_the_benchmarks_need_the_package_and_name_themselves_to_it():
    project = _project("benchmarks")["project"]
    assert [need for need in project["dependencies"] if need.startswith("neural-arith")]
    assert project["version"] == _project(".")["project"]["version"]
    (point,) = importlib.metadata.entry_points(group="neural_arith.benchmarks")
    assert {point.name: point.value} == project["entry-points"]["neural_arith.benchmarks"]


def test_without_the_benchmarks_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    for words in (["bench"], ["bench", "odebench"], ["bench", "odebench", "--noise", "0.01"]):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "pip install neural-arith-bench" in err
