"""One self-contained HTML page about a discovery: no script, nothing from the network, light and dark."""

from __future__ import annotations

import contextlib
import html
import importlib.metadata
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import sympy as sp

from neural_arith.data import Trajectories
from neural_arith.discovery import Candidate, Discovery, reactions_of
from neural_arith.discovery.verdict.summary import html_table
from neural_arith.equations import EquationSystem
from neural_arith.equations.text import write
from neural_arith.files import write_text
from neural_arith.fit.evidence import STRONG
from neural_arith.report.formulas import mathml
from neural_arith.report.pictures import draw_pictures, inline_svg

_ROWS = 10  # of the table of candidates that are shown at once
_PACKAGES = ("neural-arith", "torch", "numpy", "scipy", "sympy", "numba")

_CAPTIONS = {
    "trajectories": "Measurements (points) and the fitted solution (lines).",
    "phase": "The two states against each other: points, fitted solution, and the flow of the equations.",
    "residuals": "What the fit leaves unexplained. It should look like noise; a wave is a missing term.",
    "pareto": "Score (misfit plus price) behind the best. Below the dashed line, 6 units above the choice, the "
    "evidence against a structure is not strong.",
}

_PIECEWISE = "Measurements (points) and the fit (lines), made in {} linked pieces, each solved from a start of its own."

_NO_SOLUTION = "no solution"

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
        discovery: what `neural_arith.discovery.engine` returned, or a fitted regressor's ``discovery_``.

    Raises:
        DataError: the file cannot be written.
        ImportError: matplotlib is not installed.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import neural_arith as na
        >>> from neural_arith.discovery import Candidate, Discovery, Noise
        >>> t = np.linspace(0, 2, 5)
        >>> x = np.exp(-t)[:, None]
        >>> data = na.Trajectories.from_arrays(t, x, names=["x"])
        >>> law = na.EquationSystem({"x": "-1.0*x"})
        >>> choice = Candidate(law, (-1.0,), (0.01,), loglik2=-90.0, price=9.0, selected=True, near_tie=False)
        >>> noise, fit = Noise("additive", np.full(1, 0.01)), [(t, x)]
        >>> found = Discovery(  # by hand, what na.discover(data) returns
        ...     data, law, (choice,), (), noise, x[:1], fit, (1,), (2.0,), [0 * x], (), "done", na.Options()
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     na.write_report(f"{folder}/decay.html", found)
        ...     print(Path(f"{folder}/decay.html").read_text(encoding="utf-8")[:15])
        <!DOCTYPE html>
    """
    write_text(path, _page(discovery))


def _page(discovery: Discovery) -> str:
    data = discovery.data
    pictures = draw_pictures(discovery)
    equations: EquationSystem = discovery.equations
    captions = dict(_CAPTIONS)
    if (pieces := sum(discovery.pieces)) > len(data):
        captions["trajectories"] = _PIECEWISE.format(pieces)
    drawn = {name: inline_svg(figure, name, captions[name]) for name, figure in pictures.items()}
    sections = [
        ("The equations", mathml(equations) + f"<pre>{html.escape(str(equations))}</pre>" + _reactions(discovery)),
        ("Data and fit", _data_words(discovery) + drawn["trajectories"] + drawn.get("phase", "")),
        ("What is uncertain", _uncertain(discovery)),
        ("Candidates", drawn.get("pareto", "") + _candidates(discovery)),
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
    if any(candidate.selected for candidate in discovery.candidates) and (summary := discovery.summary()).rows:
        parts.append(summary.table())
    return "\n".join(parts)


def _candidates(discovery: Discovery) -> str:
    """Who was tried, what the words in the table mean, and what all that is as good as the choice agrees on."""
    ranked = sorted(discovery.candidates, key=lambda c: (not c.selected, c.score))
    verdicts = {id(c): _verdict(c, discovery.chosen) for c in ranked}
    counts = {word: list(verdicts.values()).count(word) for word in _VERDICTS}
    parts = [f"<dt>{word}: {n}</dt><dd>{html.escape(_VERDICTS[word])}</dd>" for word, n in counts.items() if n]
    words = (
        "Score is misfit (-2 log likelihood) plus price (what terms, numbers and starting states cost to describe); "
        "lower is better. Differences up to 6 are no strong evidence: they are odds of at most twenty to one."
    )
    text = f"<p>{html.escape(words)}</p>\n<dl>{''.join(parts)}</dl>\n"
    if counts["near-tie"]:
        agreed = _agreed([c.equations for c in ranked if c.selected or c.near_tie])
        listed = "; ".join(f"in d {state}/dt: {', '.join(terms)}" for state, terms in agreed.items() if terms)
        same = f"What the choice and all near-ties have in common: {listed or 'not one term'}."
        text += f"<p>{html.escape(same)}</p>\n"
    first, rest = ranked[:_ROWS], ranked[_ROWS:]
    text += _candidate_table("The choice and the best others, from simple to complex.", first, ranked, verdicts)
    if not rest:
        return text
    more = f"{len(rest)} more structures" if len(rest) > 1 else "one more structure"
    folded = _candidate_table("The rest, from simple to complex.", rest, ranked, verdicts)
    return f"{text}<details>\n<summary>{more}</summary>\n{folded}</details>\n"


_VERDICTS = {
    "chosen": "of those within 6 units of the best score, the one with the fewest fitted numbers.",
    "near-tie": "other terms, and a score at most 6 units above that of the choice: the data do not decide.",
    "variant": "as close, but no rival: it adds terms to the choice or to a near-tie, or writes the same differently.",
    "worse": "more than 6 units above the choice.",
}


def _verdict(candidate: Candidate, chosen: Candidate) -> str:
    if candidate.selected:
        return "chosen"
    if candidate.near_tie:
        return "near-tie"
    return "variant" if candidate.score <= chosen.score + STRONG else "worse"


def _agreed(systems: Sequence[EquationSystem]) -> dict[str, list[str]]:
    """For each state the products, without their coefficients, that stand in its equation in all systems."""
    found = {}
    for state in systems[0].states:
        products = [[part.as_coeff_Mul()[1] for part in sp.Add.make_args(sp.expand(s.rhs[state]))] for s in systems]
        common = [p for p in products[0] if p != 0 and all(p in others for others in products[1:])]
        names = (*systems[0].states, *systems[0].inputs)
        found[state] = ["a constant" if p == 1 else write(p, names, 4) for p in common]
    return found


def _candidate_table(
    caption: str, group: Sequence[Candidate], everyone: Sequence[Candidate], verdicts: Mapping[int, str]
) -> str:
    misfit = min((c.loglik2 for c in everyone if math.isfinite(c.loglik2)), default=math.nan)
    score = min((c.score for c in everyone if math.isfinite(c.score)), default=math.nan)
    rows = []
    for c in sorted(group, key=lambda c: (c.complexity, c.score)):
        behind = [
            f"{value:.1f}" if math.isfinite(value) else _NO_SOLUTION
            for value in (c.loglik2 - misfit, c.price, c.score - score)
        ]
        rows.append(((verdicts[id(c)], str(c.complexity), *behind, str(c.equations)), "chosen" if c.selected else ""))
    head = ("verdict", "complexity", "misfit behind best", "price", "score behind best", "equations")
    return html_table(caption, head, rows, numbers=(1, 2, 3, 4), formulas=(5,))


def _made(discovery: Discovery) -> str:
    rows = [((f"option {key}", str(value)), "") for key, value in vars(discovery.options).items()]
    rows.append((("status", discovery.status), ""))
    rows.append((("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"), ""))
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            rows.append(((package, importlib.metadata.version(package)), ""))
    return html_table("The same data, options and versions give the same page.", ("what", "value"), rows)
