"""How the documentation is built: ``make docs``. Nothing is fetched from the network."""

from __future__ import annotations

import html
import re
import shutil
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

import neural_arith

HERE = Path(__file__).resolve().parent

project = "neural_arith"
author = "The neural_arith developers"
release = version = installed_version("neural-arith")
copyright = author

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = "neural_arith"
html_math_renderer = "mathml"
exclude_patterns = ["_build", "examples/.ipynb_checkpoints", "**/jupyter_execute"]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Notebooks are stored with their output, and the tests execute them; building does not run them again.
nb_execution_mode = "off"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# Names of other projects: without their inventories, which live on the network, they cannot be linked.
_OTHERS = "abc collections enum io joblib matplotlib nn numpy os pandas pathlib scipy sklearn sympy torch typing np sp"
_FOREIGN = rf"({'|'.join(_OTHERS.split())})\..*"
nitpick_ignore_regex = [
    (r"py:.*", _FOREIGN),
    (r"py:(class|obj|data)", r"[A-Za-z]\w*|[A-Za-z]+([ -][A-Za-z]+)+"),  # bare names and plain English in types
    (r"py:class", r"neural_arith(\.\w+){3,}|neural_arith\.clock\.Clock"),  # parts of a room that no page shows
    (r"py:.*", r".*\._[A-Za-z].*|_[A-Za-z].*"),  # private helpers in signatures
]


def _copy_examples() -> None:
    """Bring the notebooks, which stand beside ``docs``, under it, where Sphinx can see them."""
    source, target = HERE.parent / "examples", HERE / "examples"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for notebook in sorted(source.glob("*.ipynb")):
        shutil.copy2(notebook, target)


def _front_door(app, env, node, contnode):
    """Link ``neural_arith.Name`` to the room where the name is described."""
    package, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or package != "neural_arith" or not hasattr(neural_arith, name):
        return None
    room = getattr(neural_arith, name).__module__.split(".")[1]
    target = f"neural_arith.{room}.{name}"
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, node["reftype"], target, node, contnode)


def _mathml(self, node) -> None:
    """Write a formula as MathML, which browsers show by themselves, without a script or the network."""
    block = node.tagname == "math_block"
    formula = convert(node.astext(), display="block" if block else "inline")
    name = f' id="{html.escape(node["ids"][0])}"' if node["ids"] else ""
    self.body.append(f'<div class="math"{name}>{formula}</div>\n' if block else f'<span class="math">{formula}</span>')
    raise nodes.SkipNode


def _keep_underscores(app, what, name, obj, options, lines) -> None:
    """Show attributes that end in an underscore as they are: to reStructuredText it marks a link."""
    lines[:] = [re.sub(r"^(:(?:ivar|vartype|param|type) \w*)_:", r"\1\_:", line) for line in lines]


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", _front_door)
    app.connect("autodoc-process-docstring", _keep_underscores, priority=600)  # after napoleon
    app.add_html_math_renderer("mathml", inline_renderers=(_mathml, None), block_renderers=(_mathml, None))


_copy_examples()
