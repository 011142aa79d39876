"""Pictures of data, equations, candidates and weights.

Every function draws into ``ax`` (a new one if None) and returns it, so pictures combine and can be restyled.
matplotlib is imported when the first picture is drawn.

Examples:
    >>> from matplotlib.figure import Figure
    >>> import neural_arith as na
    >>> ax = na.plotting.weights([[1.0, -0.5]], outputs=["sum"], title="weights", ax=Figure().subplots())
    >>> ax.get_title()
    'weights'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_arith.data import Run, Trajectories
from neural_arith.errors import DataError, OptionError
from neural_arith.fit.evidence import STRONG

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from neural_arith.equations import EquationSystem

__all__ = ["field_weights", "pareto", "phase", "residuals", "trajectories", "weights"]

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, told apart by colour-blind readers too; states take them in order."""

MANY = 2000
"""More points than this per run are thinned for display; the eye cannot tell, and files stay small."""

_CURVE = 400  # points of a simulated curve


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError('matplotlib is needed for pictures: pip install "neural-arith[plot]"') from None
    return plt


def new_axes() -> Axes:
    """Make a figure through pyplot, so that a notebook shows it, and return its only axes."""
    return _pyplot().subplots(layout="constrained")[1]


def color(index: int) -> str:
    """The colour of a state, by its place."""
    return COLORS[index % len(COLORS)]


def _plain(name: str) -> str:
    """A name as matplotlib sets it letter by letter: no mathematics between dollars, no label that is left out."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def _few(n: int) -> np.ndarray:
    return np.arange(n) if n <= MANY else np.linspace(0, n - 1, MANY).round().astype(np.intp)


def _columns(data_names: Sequence[str], states: str | Iterable[str] | None) -> list[int]:
    if states is None:
        return list(range(len(data_names)))
    wanted = [states] if isinstance(states, str) else list(states)
    unknown = [name for name in wanted if name not in data_names]
    if unknown or not wanted:
        got = ", ".join(unknown) or "none"
        raise OptionError(f"choose among the names {', '.join(data_names) or '(there are none)'}; got {got}")
    return [data_names.index(name) for name in wanted]


def simulated(data: Trajectories, equations: EquationSystem) -> list[tuple[np.ndarray, np.ndarray]]:
    """Solve the equations from the first complete row of every run to its end.

    Args:
        data: where to start and to stop, and the inputs, taken linearly in between.
        equations: what to solve; its states must be among those of the data.

    Returns:
        Per run the times ``(n,)`` and the states ``(n, states)``; NaN after a solver had to stop.

    Raises:
        DataError: a run has no row in which every state was measured.
    """
    columns = _columns(data.names, equations.states)
    curves = []
    for number, run in enumerate(data):
        complete = np.flatnonzero(np.isfinite(run.x[:, columns]).all(axis=1))
        if not complete.size or complete[0] == len(run) - 1:
            raise DataError(f"run {number} has no row with all states measured to start from; pass fitted=")
        start = complete[0]
        t = np.linspace(run.t[start], run.t[-1], _CURVE)
        drive = None
        if equations.inputs and run.u is not None:
            wanted = _columns(data.input_names, equations.inputs)
            drive = np.stack([np.interp(t, run.t, run.u[:, k]) for k in wanted], axis=1)
        x = np.full((len(t), data.n_states), np.nan)
        x[:, columns] = equations.simulate(run.x[start, columns], t, u=drive, throw=False)
        curves.append((t, x))
    return curves


def _time_axis(ax: Axes, data: Trajectories) -> None:
    """Name the time; years and days that come whole are marked whole."""
    ax.set_xlabel(_plain(data.time_name))
    if all((run.t == run.t.round()).all() for run in data.runs):
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_run(ax: Axes, run: Run, column: int, label: str | None, style: str) -> None:
    rows = _few(len(run))
    ax.plot(run.t[rows], run.x[rows, column], style, color=color(column), ms=4, alpha=0.8, lw=1, label=label)


def trajectories(
    data: Trajectories,
    equations: EquationSystem | None = None,
    *,
    fitted: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
    states: str | Iterable[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw measurements over time, and curves through them.

    Args:
        data: the measurements, drawn as points.
        equations: if given, solved from the first complete row of each run and drawn as lines.
        fitted: instead, curves of one's own: per run the times ``(n,)`` and states ``(n, states)``.
        states: which states to draw; None for all.
        ax: where to draw; None makes a new figure.

    Returns:
        The axes.

    Raises:
        OptionError: an unknown state, or both ``equations`` and ``fitted``.
        DataError: the equations cannot be started from the data.

    Examples:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> import neural_arith as na
        >>> t = np.linspace(0, 3, 8)
        >>> data = na.Trajectories.from_arrays(t, np.exp(-t), names=["x"])
        >>> ax = na.plotting.trajectories(data, na.EquationSystem({"x": "-1.0*x"}), ax=Figure().subplots())
        >>> ax.get_xlabel(), len(ax.lines)  # points and a curve
        ('t', 2)
    """
    if equations is not None and fitted is not None:
        raise OptionError("give equations or fitted, not both")
    columns = _columns(data.names, states)
    curves = simulated(data, equations) if equations is not None else fitted
    if curves is not None and len(curves) != len(data):
        raise OptionError(f"fitted must have one curve per run, {len(data)}; got {len(curves)}")
    ax = new_axes() if ax is None else ax
    for column in columns:
        for number, run in enumerate(data):
            _draw_run(ax, run, column, _plain(data.names[column]) if number == 0 else None, "o")
            if curves is not None:
                t, x = curves[number]
                ax.plot(t, np.asarray(x)[:, column], color=color(column), lw=1.8)
    _time_axis(ax, data)
    if len(columns) == 1:
        ax.set_ylabel(_plain(data.names[columns[0]]))
    else:
        ax.legend(frameon=False)
    return ax


def residuals(
    data: Trajectories,
    residuals: Sequence[np.ndarray],
    *,
    relative: bool = False,
    states: str | Iterable[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what the equations leave unexplained, over time. It should look like noise.

    Args:
        data: the measurements.
        residuals: per run measurements minus solution, shaped like its states, ``(time, states)``.
        relative: draw shares of the solution instead, for noise that grows with the value.
        states: which states to draw; None for all.
        ax: where to draw; None makes a new figure.

    Returns:
        The axes.

    Raises:
        OptionError: an unknown state, or residuals that do not have the shape of the data.

    Examples:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> import neural_arith as na
        >>> t = np.linspace(0, 3, 8)
        >>> data = na.Trajectories.from_arrays(t, np.exp(-t), names=["x"])
        >>> ax = na.plotting.residuals(data, [np.zeros((8, 1))], ax=Figure().subplots())
        >>> ax.get_xlabel()
        't'
    """
    columns = _columns(data.names, states)
    shapes = [np.shape(r) for r in residuals]
    if shapes != [run.x.shape for run in data]:
        raise OptionError(f"residuals must be shaped like the runs, {[r.x.shape for r in data]}; got {shapes}")
    ax = new_axes() if ax is None else ax
    ax.axhline(0.0, color="0.5", lw=1)
    for column in columns:
        for number, run in enumerate(data):
            rest = np.array(residuals[number], dtype=float)
            if relative:
                with np.errstate(divide="ignore", invalid="ignore"):
                    rest /= np.abs(run.x - rest)
                rest[~np.isfinite(rest)] = np.nan  # a solution at zero has no shares
            label = _plain(data.names[column]) if number == 0 else None
            _draw_run(ax, Run(run.t, rest), column, label, "o-")
    _time_axis(ax, data)
    kind = "relative residual" if relative else "residual"
    ax.set_ylabel(kind if len(columns) > 1 else f"{kind}\nof {_plain(data.names[columns[0]])}")
    if len(columns) > 1:
        ax.legend(frameon=False)
    return ax


def pareto(candidates: Iterable[Any], *, ax: Axes | None = None) -> Axes:
    """Draw what a more complex structure gains: the score (misfit plus description length) behind the best.

    The dashed line lies 6 units above the choice: below it the evidence against a structure is not strong.

    Args:
        candidates: objects with ``complexity``, ``score``, ``selected`` and ``near_tie``, such as the
            ``candidates`` of a discovery.
        ax: where to draw; None makes a new figure.

    Returns:
        The axes.

    Raises:
        OptionError: there is no candidate with a finite score.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> import neural_arith as na
        >>> from neural_arith.discovery import Candidate
        >>> law = na.EquationSystem({"x": "-0.5*x"})
        >>> candidate = Candidate(law, (-0.5,), (0.01,), loglik2=-90.0, price=9.0, selected=True, near_tie=False)
        >>> ax = na.plotting.pareto([candidate], ax=Figure().subplots())
        >>> ax.get_xlabel()
        'complexity'
    """
    rows = [c for c in candidates if np.isfinite(c.score)]
    if not rows:
        raise OptionError("there is no candidate with a finite score to draw")
    ax = new_axes() if ax is None else ax
    best = min(c.score for c in rows)
    kinds = (
        ("other", "o", "0.55", [c for c in rows if not (c.selected or c.near_tie)]),
        ("near-tie", "D", color(4), [c for c in rows if c.near_tie and not c.selected]),
        ("chosen", "*", color(1), [c for c in rows if c.selected]),
    )
    for label, marker, shade, group in kinds:
        if group:
            x, y = [c.complexity for c in group], [c.score - best for c in group]
            size = 150 if marker == "*" else 36
            ax.scatter(x, y, s=size, marker=marker, color=shade, label=label, zorder=3)
    for chosen in kinds[2][3]:
        ax.axhline(chosen.score - best + STRONG, color="0.5", lw=1, ls="--")
    ax.set_yscale("symlog", linthresh=10.0)
    ax.set_ylim(-1.5, 2.0 * max(2.0 * STRONG, *(c.score - best for c in rows)))
    ax.set_xlabel("complexity")
    ax.set_ylabel("score behind the best")
    ax.legend(frameon=False)
    return ax


def phase(
    data: Trajectories,
    equations: EquationSystem | None = None,
    *,
    states: Sequence[str] | None = None,
    fitted: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw two states against each other, and the flow that equations of two states make there.

    Args:
        data: measurements, drawn as points; they say which part of the plane is shown.
        equations: if they have exactly two states, their flow is drawn; with more, solved curves are.
        states: which two; None for the first two.
        fitted: curves to draw: per run the times ``(n,)`` and states ``(n, states)``.
        ax: where to draw; None makes a new figure.

    Returns:
        The axes.

    Raises:
        OptionError: an unknown state, or not two of them.

    Examples:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> import neural_arith as na
        >>> t = np.linspace(0, 3, 8)
        >>> data = na.Trajectories.from_arrays(t, np.stack([np.sin(t), np.cos(t)], axis=1), names=["x", "v"])
        >>> ax = na.plotting.phase(data, ax=Figure().subplots())
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('x', 'v')
    """
    columns = _columns(data.names, data.names[:2] if states is None else states)
    if len(columns) != 2:
        raise OptionError(f"a phase picture needs two states; the data have {', '.join(data.names)}")
    i, j = columns
    names = data.names[i], data.names[j]
    ax = new_axes() if ax is None else ax
    for run in data:
        rows = _few(len(run))
        ax.plot(run.x[rows, i], run.x[rows, j], "o", ms=4, color=color(0), alpha=0.8)
    for _, x in fitted or ():
        ax.plot(np.asarray(x)[:, i], np.asarray(x)[:, j], color=color(1), lw=1.8)
    if equations is not None and set(equations.states) == set(names) and not equations.inputs:
        _flow(ax, equations, names)
    elif equations is not None and fitted is None:
        for _, x in simulated(data, equations):
            ax.plot(x[:, i], x[:, j], color=color(1), lw=1.8)
    ax.set_xlabel(_plain(names[0]))
    ax.set_ylabel(_plain(names[1]))
    return ax


def _flow(ax: Axes, equations: EquationSystem, names: tuple[str, str]) -> None:
    xlim, ylim = ax.get_xlim(), ax.get_ylim()
    x, y = np.meshgrid(np.linspace(*xlim, 25), np.linspace(*ylim, 25))
    order = [names.index(state) for state in equations.states]
    f = equations.to_numpy()
    points = np.stack([x.ravel(), y.ravel()], axis=1)[:, order]
    with np.errstate(all="ignore"):
        slopes = np.array([f(0.0, point) for point in points])
    slopes[~np.isfinite(slopes).all(axis=1)] = np.nan  # outside the domain of a power, say
    u, v = (slopes[:, order.index(k)].reshape(x.shape) for k in (0, 1))
    ax.streamplot(x, y, u, v, color="0.65", linewidth=0.7, arrowsize=0.8, density=1.0, zorder=0)
    ax.set_xlim(xlim)
    ax.set_ylim(ylim)


def weights(
    weight: Any,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw a weight matrix as a heat map with its values; dead entries stay empty.

    Complex weights are coloured by their real part.

    Args:
        weight: a matrix ``(outputs, columns)``, or a layer with ``effective_weight()``.
        inputs: names of the columns, or of a layer's inputs.
        outputs: names of the rows.
        title: above the picture; the kind of layer if empty.
        ax: where to draw; None makes a new figure.

    Returns:
        The axes.

    Raises:
        OptionError: ``weight`` is no matrix, or the names do not fit it.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> import neural_arith as na
        >>> layer = na.NAU.from_weights([[1.0, -0.5]])
        >>> ax = na.plotting.weights(layer, inputs=["hare", "lynx"], ax=Figure().subplots())
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['hare', 'lynx']
    """
    if hasattr(weight, "effective_weight"):
        title = title or type(weight).__name__
        if getattr(weight, "lifted", False):  # its columns are log|x|, then x, then the constant
            inputs = [f"in {k}" for k in range(weight.in_features)] if inputs is None else inputs
            inputs = [*(f"log|{name}|" for name in inputs), *inputs, "1"]
        weight = _layer_matrix(weight)
    matrix = np.asarray(weight)
    if matrix.ndim != 2:
        raise OptionError(f"weights must have shape (outputs, inputs), got {matrix.shape}")
    rows = [f"out {k}" for k in range(matrix.shape[0])] if outputs is None else list(outputs)
    columns = [f"in {k}" for k in range(matrix.shape[1])] if inputs is None else list(inputs)
    if matrix.shape != (len(rows), len(columns)):
        raise OptionError(f"{len(rows)} outputs and {len(columns)} columns do not fit weights {matrix.shape}")
    ax = new_axes() if ax is None else ax
    real = np.real(matrix).astype(float)
    top = float(np.max(np.abs(real), initial=0.0)) or 1.0
    ax.imshow(np.where(matrix == 0.0, np.nan, real), cmap="RdBu_r", vmin=-top, vmax=top, aspect="auto")
    for (row, column), value in np.ndenumerate(matrix):
        if value != 0.0:
            shade = "white" if abs(value.real) > 0.6 * top else "black"
            text = f"{value.real:.3g}" + (f"{value.imag:+.3g}i" if value.imag else "")
            ax.text(column, row, text, ha="center", va="center", color=shade, fontsize=8)
    ax.set_xticks(range(len(columns)), [_plain(name) for name in columns])
    ax.set_yticks(range(len(rows)), [_plain(name) for name in rows])
    ax.set_title(_plain(title))
    return ax


def _layer_matrix(layer: Any) -> np.ndarray:
    matrix = layer.effective_weight().detach().cpu().numpy()
    imaginary = layer.effective_imaginary() if hasattr(layer, "effective_imaginary") else None
    return matrix if imaginary is None else matrix + 1j * imaginary.detach().cpu().numpy()


def field_weights(field: Any, *, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw the weights of every arithmetic layer of a field, from states and inputs to slopes.

    Args:
        field: an `ArithmeticField`; layers without readable weights are passed over.
        axes: where to draw, one per arithmetic layer; None makes a new figure.

    Returns:
        The axes, one per arithmetic layer.

    Raises:
        OptionError: no layer has readable weights, or there are too few axes.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> import neural_arith as na
        >>> field = na.ArithmeticField(na.NAU.from_weights([[-1.0, 0.5], [0.0, 1.0]]), states=["x", "y"])
        >>> (ax,) = na.plotting.field_weights(field, axes=[Figure().subplots()])
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['x', 'y']
    """
    readable = [k for k, layer in enumerate(field.layers) if hasattr(layer, "effective_weight")]
    if not readable:
        raise OptionError("no layer of this field has weights that can be read; arithmetic layers do")
    if axes is None:
        axes = list(np.atleast_1d(_pyplot().subplots(1, len(readable), layout="constrained")[1]))
    if len(axes) != len(readable):
        raise OptionError(f"the field has {len(readable)} readable layers, but {len(axes)} axes came")
    last = len(field.layers) - 1
    for ax, k in zip(axes, readable, strict=True):
        inputs = (*field.states, *field.inputs) if k == 0 else None
        outputs = [f"d {state}/dt" for state in field.states] if k == last else None
        weights(field.layers[k], inputs=inputs, outputs=outputs, ax=ax)
    return list(axes)
