"""One self-contained HTML page about a discovery: no script, nothing from the network, light and dark."""

from __future__ import annotations

import contextlib
import html
import importlib.metadata
import math
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from neural_arith.data import Trajectories
from neural_arith.discovery import Candidate, Discovery, Worth, reactions_of
from neural_arith.equations import EquationSystem
from neural_arith.equations.places import places
from neural_arith.files import write_text
from neural_arith.report.formulas import mathml
from neural_arith.report.pictures import draw_pictures, inline_svg

_ROWS = 10  # of the table of candidates that are shown at once
_PACKAGES = ("neural-arith", "torch", "numpy", "scipy", "sympy", "numba")

_CAPTIONS = {
    "trajectories": "Measurements (points) and the fitted solution (lines).",
    "phase": "The two states against each other: points, fitted solution, and the flow of the equations.",
    "residuals": "What the solution leaves unexplained. It should look like noise; a wave is a missing term.",
    "pareto": "Misfit plus description length behind the best. Below the dashed line evidence is not strong.",
}

_NOISE_WORDS = {
    "additive": "additive: the same spread at every level",
    "proportional": "proportional: spread grows with the size of the value",
    "log": "proportional on positive values: logarithms scatter evenly",
}

_STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


def write_report(path: str | os.PathLike[str], discovery: Discovery) -> None:
    """Write everything there is to say about a discovery as one HTML page.

    Args:
        path: the file to write; it appears whole or not at all.
        discovery: what `neural_arith.discovery.discover` returned, or a fitted regressor's ``discovery_``.

    Raises:
        DataError: the file cannot be written.
        ImportError: matplotlib is not installed.
    """
    write_text(path, _page(discovery))


def _page(discovery: Discovery) -> str:
    data = discovery.data
    pictures = draw_pictures(discovery)
    equations: EquationSystem = discovery.equations
    drawn = {name: inline_svg(figure, name, _CAPTIONS[name]) for name, figure in pictures.items()}
    sections = [
        ("The equations", mathml(equations) + f"<pre>{html.escape(str(equations))}</pre>" + _reactions(discovery)),
        ("Data and fit", _data_words(discovery) + drawn["trajectories"] + drawn.get("phase", "")),
        ("What is uncertain", _uncertain(discovery)),
        ("Candidates", drawn.get("pareto", "") + _candidate_table(discovery.candidates)),
        ("Residuals", drawn["residuals"]),
        ("How it was made", _made(discovery)),
    ]
    title = f"Equations of {', '.join(data.names)}"
    body = "\n".join(f"<section>\n<h2>{heading}</h2>\n{content}\n</section>" for heading, content in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{html.escape(title)}</h1>\n<p class="lead">{html.escape(_summary(data))}</p>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _summary(data: Trajectories) -> str:
    runs = "one run" if len(data) == 1 else f"{len(data)} runs"
    first, last = data.span
    return f"Found in {data.n_points} points of {runs}, {data.time_name} from {first:.6g} to {last:.6g}."


def _reactions(discovery: Discovery) -> str:
    """The equations once more as reactions, where some reaction changes several states at once."""
    found = reactions_of(discovery)
    if found is None:
        return ""
    words = "As reactions, before rounding, coefficients being in whole ratios as far as the data can tell:"
    return f"<p>{words}</p><pre>{html.escape(str(found))}</pre>"


def _data_words(discovery: Discovery) -> str:
    noise = discovery.noise
    kind = _NOISE_WORDS[noise.kind]
    share = noise.kind != "additive"
    levels = ", ".join(
        f"{name} {100 * level:.3g}\u00a0%" if share else f"{name} {level:.3g}"
        for name, level in zip(discovery.data.names, noise.level, strict=True)
    )
    if spans := noise.spans(discovery.data.names):
        levels += f"; in the runs {spans}"
    return f"<p>Noise, {html.escape(kind)}. Estimated level: {html.escape(levels)}.</p>"


def _uncertain(discovery: Discovery) -> str:
    parts = []
    if discovery.messages:
        items = "".join(f"<li>{html.escape(message)}</li>" for message in discovery.messages)
        parts.append(f'<ul class="messages">{items}</ul>')
    elif discovery.status == "done":
        parts.append(
            "<p>No warning. Apart from structures that only add terms to this one, none that was tried came within "
            "6 units of its score.</p>"
        )
    if len(discovery.data) == 1:
        parts.append(
            "<p>One run tests the equations only along its own path. Runs from other starts would test them "
            "elsewhere.</p>"
        )
    chosen = next((c for c in discovery.candidates if c.selected), None)
    if chosen is not None and len(chosen.constants):
        parts.append(_constant_table(chosen))
    if discovery.terms:
        parts.append(_term_table(discovery.terms))
    return "\n".join(parts)


def _term_table(terms: Sequence[Worth]) -> str:
    rows = [
        ((w.state, w.term, f"{w.buys:.1f}" if math.isfinite(w.buys) else "everything", f"{w.costs:.1f}"), "")
        for w in terms
    ]
    words = "What each term buys: how much worse the data are explained without it, in units of 2 log-likelihood; "
    words += "everything where nothing is left that can be followed."
    return _table(words, ("equation", "term", "buys", "costs"), rows, numbers=(2, 3), formulas=(1,))


def _constant_table(candidate: Candidate) -> str:
    rows = []
    where = places(candidate.equations)
    for (equation, term), value, error in zip(where, candidate.constants, candidate.standard_errors, strict=True):
        if math.isnan(error):
            doubt = ("not fixed by the data", "")
        elif error == 0.0:
            doubt = ("taken as exact", "")
        else:
            doubt = (f"{error:.2g}", f"{100 * abs(error / value):.2g} %" if value else "")
        rows.append(((equation, term, f"{value:.6g}", *doubt), ""))
    head = ("equation", "term", "constant", "standard error", "relative")
    return _table(
        "Constants of the chosen equations as fitted, before any rounding, and how well the data fix them.",
        head,
        rows,
        numbers=(2, 3, 4),
    )


def _candidate_table(candidates: Sequence[Candidate]) -> str:
    """The choice and the best others; the rest folded away."""
    ranked = sorted(candidates, key=lambda c: (not c.selected, c.score))
    misfit = min((c.loglik2 for c in ranked if math.isfinite(c.loglik2)), default=math.nan)
    score = min((c.score for c in ranked if math.isfinite(c.score)), default=math.nan)

    def table(caption: str, group: Sequence[Candidate]) -> str:
        rows = []
        for c in sorted(group, key=lambda c: (c.complexity, c.score)):
            mark = "chosen" if c.selected else "near-tie" if c.near_tie else ""
            numbers = (str(c.complexity), f"{c.loglik2 - misfit:.1f}", f"{c.score - score:.1f}")
            rows.append(((mark, *numbers, str(c.equations)), mark if c.selected else ""))
        head = ("", "complexity", "misfit behind best", "score behind best", "equations")
        return _table(caption, head, rows, numbers=(1, 2, 3), formulas=(4,))

    first, rest = ranked[:_ROWS], ranked[_ROWS:]
    shown = table("From simple to complex, in units of 2 log-likelihood; score is misfit plus price.", first)
    if not rest:
        return shown
    more = f"{len(rest)} more structures" if len(rest) > 1 else "one more structure"
    folded = table("The rest, from simple to complex.", rest)
    return f"{shown}<details>\n<summary>{more}</summary>\n{folded}</details>\n"


def _made(discovery: Discovery) -> str:
    rows = [((f"option {key}", str(value)), "") for key, value in vars(discovery.options).items()]
    rows.append((("status", discovery.status), ""))
    rows.append((("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"), ""))
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            rows.append(((package, importlib.metadata.version(package)), ""))
    return _table("The same data, options, seed and versions give the same page.", ("what", "value"), rows)


def _table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[tuple[Sequence[str], str]],
    *,
    numbers: Sequence[int] = (),
    formulas: Sequence[int] = (),
) -> str:
    """An accessible table: a caption, headers with scope, each row with an optional class."""
    kinds = {**dict.fromkeys(numbers, "number"), **dict.fromkeys(formulas, "formula")}

    def attribute(kind: str) -> str:
        return f' class="{kind}"' if kind else ""

    top = "".join(
        f'<th scope="col"{attribute(kinds.get(i, ""))}>{html.escape(name) or "choice"}</th>'
        for i, name in enumerate(head)
    )
    lines = []
    for cells, kind in rows:
        inner = "".join(f"<td{attribute(kinds.get(i, ''))}>{html.escape(c)}</td>" for i, c in enumerate(cells))
        lines.append(f"<tr{attribute(kind)}>{inner}</tr>")
    return (
        f'<div class="wide"><table><caption>{html.escape(caption)}</caption>\n<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(lines)}\n</tbody></table></div>\n"
    )
