"""Facts that stand in more than one file agree: the version, the pins, the commands that the pages name."""

from __future__ import annotations

import importlib.metadata
import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from neural_arith_bench.suites.tables import summary
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import neural_arith

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _pins() -> dict[str, str]:
    lines = (line.strip() for line in _text("constraints.txt").splitlines())
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {str(canonicalize_name(name)): version for name, version in pairs}


def _requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(text) for group in (PROJECT["dependencies"], *extras) for text in group]


def test_one_version_everywhere():
    version = PROJECT["version"]
    assert neural_arith.__version__ == version
    assert importlib.metadata.version("neural-arith") == version
    cited = re.search(r"^version: (\S+)$", _text("CITATION.cff"), re.M)
    assert cited is not None
    assert cited.group(1) == version
    head = re.search(r"^## \[?([\d.]+)\]?", _text("CHANGELOG.md"), re.M)
    assert head is not None
    assert head.group(1) == version


def test_one_license_everywhere():
    assert PROJECT["license"] == "MIT"
    assert "license: MIT" in _text("CITATION.cff")
    assert _text("LICENSE").startswith("MIT License")


@pytest.mark.parametrize("requirement", _requirements(), ids=str)
def test_every_range_holds_the_tested_version(requirement):
    pins = _pins()
    name = str(canonicalize_name(requirement.name))
    assert name in pins, f"constraints.txt has no line for {name}"
    assert requirement.specifier.contains(pins[name], prereleases=True), (
        f"{requirement} does not admit the tested {name}=={pins[name]}"
    )


def test_torch_is_pinned_in_a_form_that_any_build_satisfies():
    assert _pins()["torch"] == "2.13.0"


def test_pages_name_only_commands_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", _text("Makefile"), re.M))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    for page in pages:
        if "_build" in page.parts:
            continue
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.M))
        assert named <= targets, f"{page.name} names {sorted(named - targets)}, which the Makefile does not have"


def test_the_page_of_measured_numbers_is_made_from_the_result_files():
    script = ROOT / "docs" / "results" / "make.py"
    page = runpy.run_path(str(script))["page"]()
    assert (script.parent / "index.md").read_text(encoding="utf-8") == page


ARITHMETIC = ROOT / "docs" / "results" / "arithmetic"


def test_the_pages_of_arithmetic_are_made_from_the_result_files():
    pages = runpy.run_path(str(ARITHMETIC.with_suffix(".py")))["pages"]()
    assert {name: (ARITHMETIC / name).read_text(encoding="utf-8") for name in pages} == pages
    assert all((ARITHMETIC / f"{name}.png").exists() for name in {Path(page).stem for page in pages} - {"index"})


@pytest.mark.parametrize(("script", "name"), [("digits", "sequential_digits"), ("fractional_sir", "fractional_sir")])
def test_the_pages_of_digits_and_epidemic_are_made_from_the_result_files(script, name):
    rows, page = list(ARITHMETIC.glob(f"{name}*.csv")), ARITHMETIC / f"{name}.md"
    assert page.exists() == bool(rows)
    if rows:
        made = runpy.run_path(str(ROOT / "docs" / "results" / f"{script}.py"))["page"]()
        assert page.read_text(encoding="utf-8") == made


SUITES = runpy.run_path(str(ROOT / "docs" / "results" / "suites.py"))


def test_the_page_of_benchmarks_is_made_from_the_result_files():
    assert (ROOT / "docs" / "results" / "benchmarks.md").read_text(encoding="utf-8") == SUITES["page"]()


@pytest.mark.parametrize("suite", [suite for suite in SUITES["SUITES"] if SUITES["settings"](suite)])
def test_the_pictures_of_benchmarks_show_the_numbers_of_the_result_files(suite, tmp_path):
    SUITES["draw"](suite, tmp_path / "new.svg")
    committed = ROOT / "docs" / "results" / f"{suite}.svg"
    words = [re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text()) for path in (committed, tmp_path / "new.svg")]
    assert len(words[0]) > 10
    assert words[0] == words[1]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "results").glob("*_noise_*_drop_*.json")), ids=lambda p: p.stem
)
def test_summaries_of_benchmarks_are_those_of_their_rows(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["summary"] == summary(content["rows"])
    assert len({(row["method"], row["id"], row["seed"]) for row in content["rows"]}) == len(content["rows"])
