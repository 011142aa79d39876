"""The pictures of a report, and how they become part of a page."""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_arith import plotting
from neural_arith.discovery import Discovery

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#010203"  # a colour nobody draws in; replaced by the page's own text colour
_PANELS = 12  # pictures of more states than this help nobody


def draw_pictures(discovery: Discovery) -> dict[str, Figure]:
    """Draw what the page shows.

    Args:
        discovery: what was found.

    Returns:
        Figures by name: ``trajectories``, ``residuals``, ``pareto``, and ``phase`` for two states.

    Raises:
        ImportError: matplotlib is not installed.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> from neural_arith.discovery import Candidate, Discovery, Noise
        >>> from neural_arith.report import draw_pictures
        >>> t = np.linspace(0, 2, 5)
        >>> x = np.exp(-t)[:, None]
        >>> data = na.Trajectories.from_arrays(t, x, names=["x"])
        >>> law = na.EquationSystem({"x": "-1.0*x"})
        >>> choice = Candidate(law, (-1.0,), (0.01,), loglik2=-90.0, price=9.0, selected=True, near_tie=False)
        >>> noise, fit = Noise("additive", np.full(1, 0.01)), [(t, x)]
        >>> found = Discovery(  # by hand, what na.discover(data) returns
        ...     data, law, (choice,), (), noise, x[:1], fit, (1,), (2.0,), [0 * x], (), "done", na.Options()
        ... )
        >>> list(draw_pictures(found))
        ['trajectories', 'residuals', 'pareto']
    """
    data = discovery.data
    names = data.names[:_PANELS]
    fitted = discovery.fitted
    relative = discovery.noise.kind != "additive"

    def fit(ax: Axes, name: str) -> None:
        plotting.trajectories(data, fitted=fitted, states=name, ax=ax)

    def rest(ax: Axes, name: str) -> None:
        plotting.residuals(data, discovery.residuals, relative=relative, states=name, ax=ax)

    pictures = {"trajectories": _stack(names, fit, 2.3)}
    if data.n_states == 2:
        figure, (ax,) = _figure(1, 4.2)
        plotting.phase(data, discovery.equations, fitted=fitted, ax=ax)
        pictures["phase"] = figure
    pictures["residuals"] = _stack(names, rest, 1.7)
    if any(math.isfinite(c.score) for c in discovery.candidates):
        figure, (ax,) = _figure(1, 3.6)
        plotting.pareto(discovery.candidates, ax=ax)
        pictures["pareto"] = figure
    return pictures


def save_picture(figure: Figure, target: Path | io.StringIO, **options: Any) -> None:
    """Write a figure without a word about letters that matplotlib's font lacks: a browser or a box stands in for them.

    Args:
        figure: what to draw.
        target: where to.
        **options: those of ``Figure.savefig``.

    Examples:
        >>> import io
        >>> from matplotlib.figure import Figure
        >>> from neural_arith.report import save_picture
        >>> target = io.StringIO()
        >>> save_picture(Figure(), target, format="svg")
        >>> "<svg" in target.getvalue()
        True
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        figure.savefig(target, **options)


def _figure(panels: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of its own: pyplot's state and the user's backend stay as they are."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('matplotlib is needed for pictures: pip install "neural-arith[plot]"') from None
    figure = Figure(figsize=(8.0, panels * height), layout="constrained")
    axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    return figure, list(axes)


def _stack(names: Sequence[str], draw: Callable[[Axes, str], None], height: float) -> Figure:
    figure, axes = _figure(len(names), height)
    for ax, name in zip(axes, names, strict=True):
        draw(ax, name)
        ax.label_outer()
    return figure


def inline_svg(figure: Figure, name: str, caption: str) -> str:
    """Turn a figure into inline SVG that takes the page's text colour, with its caption.

    Args:
        figure: what to draw.
        name: goes in front of every name inside the picture, since pictures of one page share their names.
        caption: stands below the picture, and is read out in its place.

    Returns:
        One HTML ``figure`` element.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        _paint(figure)
        save_picture(figure, buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = text.replace(_INK, "currentColor")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    label = html.escape(caption)
    text = text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f"<figure>\n{text.strip()}\n<figcaption>{label}</figcaption>\n</figure>\n"


def _paint(figure: Figure) -> None:
    """Give frames and letters the colour that stands for the page's own."""
    for ax in figure.axes:
        for spine in ax.spines.values():
            spine.set_edgecolor(_INK)
        ax.tick_params(which="both", colors=_INK)
        ax.xaxis.label.set_color(_INK)
        ax.yaxis.label.set_color(_INK)
        legend = ax.get_legend()
        for letters in legend.get_texts() if legend else ():
            letters.set_color(_INK)
