"""Pages of the experiments: from small files of rows made by hand, and none for experiments without rows."""

from __future__ import annotations

import dataclasses
import re
import runpy
from pathlib import Path

import pytest
from neural_arith_bench.arithmetic.experiments import EXPERIMENTS
from neural_arith_bench.arithmetic.rows import Row, rows_in
from neural_arith_bench.fractional_sir.results import SirRow
from neural_arith_bench.fractional_sir.results import rows_in as sir_rows_in

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"
PAGES = runpy.run_path(str(RESULTS / "arithmetic.py"))
SIR = runpy.run_path(str(RESULTS / "fractional_sir.py"))


def _rows(model: str, op: str, setting: str, errors: list[float], steps: int, bar: float | None) -> list[Row]:
    judged = [None if bar is None else error < bar for error in errors]
    when = [2000 * (seed + 1) if good else None for seed, good in enumerate(judged)]
    return [
        Row(model, op, setting, seed, judged[seed], when[seed], 0.01 / (seed + 1), error, 1.5, steps, "c")
        for seed, error in enumerate(errors)
    ]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two experiments with a few rows each."""
    static = rows_in(tmp_path / "static.csv")
    static.add(_rows("gold", "mul", "[1,2]", [1e-20, 1e-20], 0, 0.16), "neural-arith bench static --model gold")
    static.add(_rows("closed form", "mul", "[1,2]", [1e-9, 1e-8], 10, 0.16), "neural-arith bench static --seeds 2")
    static.add(_rows("NMU", "mul", "[1,2]", [0.01, 0.02, 4.0, 9.0], 50_000, 0.16), "neural-arith bench static")
    static.add(_rows("NAU", "mul", "[1,2]", [30.0], 5_000_000, 0.16), "neural-arith bench static")
    for setting in ("hidden=9", "hidden=10"):
        static.add(_rows("NMU", "mul", setting, [0.01, 2.0], 50_000, 0.16), "neural-arith bench static --range all")
    simple = rows_in(tmp_path / "simple.csv")
    for op in EXPERIMENTS["simple"].ops:
        simple.add(_rows("NPU", op, "[0.1,2.1]", [0.1, 0.2, 0.6], 20_000, None), "neural-arith bench simple")
    return tmp_path


def _line(page: str, heading: str, model: str) -> list[str]:
    """The cells of the last table line of a model under a heading."""
    part = page.split(f"### {heading}\n")[1].split("\n### ")[0]
    lines = [line for line in part.splitlines() if line.startswith(f"| {model} ")]
    return [cell.strip() for cell in lines[-1].strip("|").split("|")]


def test_only_experiments_with_rows_have_pages(folder):
    pages = PAGES["pages"](folder)
    assert set(pages) == {"static.md", "simple.md", "index.md"}
    listed = re.findall(r"^(\S+)$", pages["index.md"].split("{toctree}")[1], re.M)
    assert [name for name in listed if name[0] not in ":`"] == ["simple", "static"]


def test_without_any_rows_there_is_an_index_without_entries(tmp_path):
    assert set(PAGES["pages"](tmp_path)) == {"index.md"}
    assert "toctree" not in PAGES["pages"](tmp_path)["index.md"]


def test_lines_tell_errors_and_shares_of_steps(folder):
    page = PAGES["page"]("simple", folder)
    cells = _line(page, "div", "NPU")
    assert cells[:5] == ["NPU", "3", "-", "0.2", "0.3"]
    assert cells[7:] == ["0.23 +- 0.13", "20000 (100 %)", "1.5"]
    assert "| div | 0.085, RealNPU | 0.3, NPU | - | - | - |" in page


def test_rates_and_published_rates_stand_together(folder):
    page = PAGES["page"]("static", folder)
    assert "| mul | 100 %, NAC-sigma | 50 % (15-85), NMU | 100 % (34-100) | 100 % (34-100) | - |" in page
    assert "| NMU | 50 (59) | 50 (63) | 50 % (15-85), published 61 % |" in page
    assert "solved below 0.16" in page


def test_short_training_is_told_and_full_training_too(folder):
    page = PAGES["page"]("static", folder)
    sentence = next(line for line in page.splitlines() if "fewer steps than were published" in line)
    assert "50,000 (1 %) for NMU" in sentence
    assert "NAU" not in sentence
    assert "at least the published number of steps" in PAGES["page"]("simple", folder)
    assert PAGES["index"](folder).count("took fewer steps") == 1


def test_commands_stand_with_commit_and_versions(folder):
    page = PAGES["page"]("static", folder)
    made = page.split("## Made by")[1]
    assert re.search(r"^neural-arith bench static --range all  # \S+", made, re.M)
    assert re.search(r"torch \d", made)


def test_pages_and_pictures_are_written(folder):
    PAGES["write"](folder)
    assert (folder / "static.png").stat().st_size > 5000
    assert (folder / "static.md").read_text(encoding="utf-8") == PAGES["page"]("static", folder)
    assert "## [Operations on overlapping sums](static.md)" in (folder / "index.md").read_text(encoding="utf-8")


def test_the_epidemic_has_a_page_once_it_has_rows(folder):
    SIR["write"](folder)
    assert not list(folder.glob("*.md"))
    row = SirRow("ours", "npu", 6, 0.0, 0, 1e-12, 1e-12, 8, True, "", 3.0, "c")
    file = sir_rows_in(folder / "fractional_sir.csv")
    file.add([row, dataclasses.replace(row, run=1, exact=False)], "neural-arith bench fractional-sir --seeds 2")
    short = sir_rows_in(folder / "fractional_sir_budget_2pct.csv")
    short.add([row], "neural-arith bench fractional-sir --budget 2%")
    SIR["write"](folder)
    page = (folder / "fractional_sir.md").read_text(encoding="utf-8")
    assert "ours, NPU: 1 of 2 exact (9-91 %)" in page
    assert "fewer steps than were published** (budget 2 % of the 3,000)" in page
    assert (folder / "fractional_sir_budget_2pct.svg").exists()
    assert "[A fractional epidemic, a hundred runs per unit](fractional_sir.md)" in PAGES["index"](folder)
