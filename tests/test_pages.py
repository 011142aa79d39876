"""What the pages show is true: their Python runs, their commands exist, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
from importlib import resources
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from neural_arith.cli import build_parser

ROOT = Path(__file__).resolve().parent.parent
BUILT = {"_build", "examples"}
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(page for page in sorted((ROOT / "docs").glob("**/*.md")) if not BUILT & set(page.relative_to(ROOT).parts)),
]


def _blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with the files that the pages speak of."""
    hares = resources.files("neural_arith.systems").joinpath("tables", "lynx_hare.csv").read_text()
    for name in ("lynx_hare.csv", "pelts.csv"):
        (tmp_path / name).write_text(hares)
    lines = ["dish,hour,biomass"]
    for dish, start, times in (("A", 9.6, np.arange(12.0)), ("B", 4.1, np.arange(0.0, 24.0, 2.0))):
        lines += [f"{dish},{t:g},{660 / (1 + (660 / start - 1) * np.exp(-0.55 * t)):.6g}" for t in times]
    (tmp_path / "yeast.csv").write_text("\n".join(lines) + "\n")
    lines = ["hour,temperature,heat"]
    for hour in np.arange(0.0, 12.0, 0.5):
        lines.append(f"{hour:g},{18 + 4 * np.exp(-hour / 2) + hour * np.exp(-hour / 3):.6g},{np.exp(-hour / 3):.6g}")
    (tmp_path / "room.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p, "python")], ids=_name)
def test_python_of_the_page_runs(page, folder):
    mpl.use("Agg")
    names: dict[str, object] = {}
    for block in _blocks(page, "python"):
        exec(compile(block, _name(page), "exec"), names)


@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p, "bash")], ids=_name)
def test_commands_of_the_page_exist(page):
    for block in _blocks(page, "bash"):
        if "[--" in block:  # a synopsis, not a command
            continue
        for line in block.splitlines():
            if line.startswith("neural-arith "):
                build_parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{_name(page)} links to {target}"
