"""Names in pages and docstrings are those of the package; the built pages show them, and maths, as they are."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from simulated import logistic

import neural_arith as na
from neural_arith import errors

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *(
        p
        for p in sorted((ROOT / "docs").glob("**/*.md"))
        if not {"_build", "examples"} & set(p.relative_to(ROOT).parts)
    ),
]
_ROOMS = ("data", "layers", "solve", "equations", "fit", "ode", "discovery", "systems", "report", "plotting")
_IN_PLACE = {"project_", "clip_"}  # PyTorch's way to name what changes its own weights
_CODE = re.compile(r"(?<!`)(`{1,2})([A-Za-z_][\w.]*)(?:\([^`]*\))?\1(?!`)")


def _modules() -> Iterator[Any]:
    for module in pkgutil.walk_packages(na.__path__, "neural_arith."):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def _described() -> Iterator[tuple[str, Any]]:
    """Everything of the package that has a docstring of its own, by name."""
    for module in _modules():
        yield module.__name__, module
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", None) == module.__name__ and (inspect.isclass(thing) or callable(thing)):
                yield f"{module.__name__}.{name}", thing


@pytest.fixture(scope="module")
def roots() -> dict[str, Any]:
    """What the words that pages begin a name with stand for."""
    t = np.linspace(0, 10, 40)
    data = na.Trajectories.from_arrays(t, logistic(t), names=["y"])
    model = na.ODERegressor(restarts=8, max_units=1, n_jobs=1).fit(data)
    public = {name: getattr(na, name) for name in na.__all__}
    classes = {name: thing for name, thing in public.items() if inspect.isclass(thing)}
    found = {
        "na": na,
        "neural_arith": na,
        "errors": errors,
        "plotting": importlib.import_module("neural_arith.plotting"),
    }
    found |= {"model": model, "discovery": model.discovery_, "Discovery": model.discovery_, "ODERegressor": model}
    found |= {"candidate": model.candidates_[0], "equations": model.equations_, "eqs": model.equations_}
    return classes | found


def _lead_nowhere(text: str, roots: dict[str, Any]) -> list[str]:
    wrong = []
    for _, name in _CODE.findall(text):
        first, *rest = name.split(".")
        if not rest and re.fullmatch(r"[a-z]\w*_", name) and name not in _IN_PLACE:
            first, rest = "model", [name]  # only a fitted model has such names
        if first not in roots or name.endswith((".md", ".json", ".csv")):
            continue
        thing = roots[first]
        for part in rest:
            if not hasattr(thing, part):
                try:  # rooms load on first use
                    thing = importlib.import_module(f"{thing.__name__}.{part}")
                    continue
                except (ImportError, AttributeError):
                    wrong.append(name)
                    break
            thing = getattr(thing, part)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_on_a_page_exist(page, roots):
    assert not _lead_nowhere(page.read_text(encoding="utf-8"), roots)


def test_names_in_docstrings_exist(roots):
    wrong = {
        name: found for name, thing in _described() if (found := _lead_nowhere(inspect.getdoc(thing) or "", roots))
    }
    assert not wrong


def test_attributes_that_docstrings_list_exist(roots):
    wrong = []
    for name, thing in _described():
        if not inspect.isclass(thing) or "Attributes:" not in (thing.__doc__ or ""):
            continue
        section = re.split(r"\n\S", inspect.cleandoc(thing.__doc__ or "").split("Attributes:\n", 1)[1])[0]
        known = {n for c in thing.__mro__ for n in (*vars(c), *getattr(c, "__annotations__", {}))}
        known |= set(re.findall(r"self\.(\w+)\b[^=\n]*=", inspect.getsource(thing)))
        wrong += [
            f"{name}.{listed}" for listed in re.findall(r"^ {4}(\w+)[^:\n]*:", section, re.M) if listed not in known
        ]
    assert not wrong


def _public() -> Iterator[tuple[str, Any, str]]:
    """The names that the package and its rooms offer, with what they stand for and the docstring of their room."""
    for room in (na, *(importlib.import_module(f"neural_arith.{name}") for name in _ROOMS)):
        for name in room.__all__:
            yield f"{room.__name__}.{name}", getattr(room, name), room.__doc__ or ""


def _examples(thing: Any) -> str:
    """The docstring of a thing and, of a class, those of its own public methods."""
    texts = [inspect.getdoc(thing) or ""]
    if inspect.isclass(thing):
        texts = [thing.__doc__ or ""]  # not one that is inherited
        for name, part in vars(thing).items():
            if not name.startswith("_") and isinstance(part, FunctionType | classmethod | staticmethod | property):
                texts.append(part.__doc__ or "")
    return "\n".join(texts)


def test_every_public_name_has_an_example():
    missing = []
    for name, thing, room in _public():
        described = inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing)
        # a plain value has no docstring of its own, its room shows it
        short = name.rpartition(".")[2]
        wanted, text = ("", _examples(thing)) if described else (rf".*\b{short}\b", room)
        shown = re.search(rf">>> (?!.*SKIP){wanted}", text)
        if not shown:
            missing.append(name)
    assert not missing


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Two pages, built with the configuration of the documentation."""
    pytest.importorskip("sphinx")
    source = tmp_path_factory.mktemp("docs")
    shutil.copy(ROOT / "docs" / "reference" / "regressor.md", source / "index.md")
    shutil.copy(ROOT / "docs" / "background" / "power_unit.md", source)
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", str(ROOT / "docs"), str(source)]
    subprocess.run([*command, str(source / "html")], check=True, capture_output=True)
    return source / "html"


def test_reference_pages_show_attributes_with_their_underscores(built):
    page = (built / "index.html").read_text(encoding="utf-8")
    for name in ("equations_", "candidates_", "discovery_", "n_features_in_", "feature_names_in_"):
        assert f"<strong>{name}</strong>" in page


def test_maths_needs_no_network(built):
    page = (built / "power_unit.html").read_text(encoding="utf-8")
    text = (ROOT / "docs" / "background" / "power_unit.md").read_text(encoding="utf-8")
    assert page.count("<math") == len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, re.S)) > 10
    assert not re.search(r"""<(script|link|img)[^>]+(src|href)=["'](https?:)?//""", page)
