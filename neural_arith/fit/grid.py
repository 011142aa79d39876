"""One equation of the integral form laid out for the compiled search: logarithms are taken once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_arith.errors import DataError
from neural_arith.fit.integral_form import IntegralForm


@dataclass(frozen=True)
class Grid:
    """One equation of the integral form as the compiled search reads it; nodes lie ``(points of interval, samples)``.

    Attributes:
        columns: ``[log|x|, x - middle, 1]``, ``(2 * variables + 1, nodes)``; no logarithms of variables that change
            sign.
        states: values of the variables, ``(variables, nodes)``.
        positive: which variables never change sign, ``(variables,)``.
        step: quadrature weights, 0 where no interval leads to a sample, ``(nodes,)``.
        target: ``(samples,)``.
        weight: of the samples, ``(samples,)``.
        square: their squares, ``(samples,)``.
        share: one over the sum of the squares of each window, ``(windows,)``.
        opens: first sample of each window and, last, the number of samples.
        range: largest less smallest value of each variable, 0 for one that moves by rounding only, ``(variables,)``.
        middle: between the two, ``(variables,)``; phases there and frequencies are fitted independently.
    """

    columns: np.ndarray
    states: np.ndarray
    positive: np.ndarray
    step: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    square: np.ndarray
    share: np.ndarray
    opens: np.ndarray
    range: np.ndarray
    middle: np.ndarray


def make_grid(form: IntegralForm, state: int, positive: np.ndarray) -> Grid:
    """Lay one equation out for the search.

    Args:
        form: the regression problem.
        state: whose equation.
        positive: which variables never change sign, ``(variables,)``.

    Raises:
        DataError: a variable said to be positive is negative at a node.
    """
    lowest, highest = form.nodes.min(axis=0), form.nodes.max(axis=0)
    if (lowest[positive] < 0).any():
        v = int(np.flatnonzero(positive & (lowest < 0))[0])
        raise DataError(
            f"variable {v} is said to be positive, but a node has {lowest[v]:.3g}: keep the nodes at or above zero, "
            "or give it as one that changes sign"
        )
    inner = np.flatnonzero(~form.first)
    n_points = len(form.nodes) // max(len(inner), 1)

    def spread(at_nodes: np.ndarray, fill: float) -> np.ndarray:
        out = np.full((at_nodes.shape[0], n_points, len(form.first)), fill)
        out[:, :, inner] = at_nodes.reshape(len(at_nodes), len(inner), n_points).transpose(0, 2, 1)
        return out.reshape(len(at_nodes), -1)

    states = spread(form.nodes.T, 1.0)
    logs = np.zeros_like(states)
    # The logarithm of a zero: its powers underflow to the exact zero, or overflow, and x^0 is exactly one.
    logs[positive] = np.log(np.maximum(states[positive], 1e-300))
    extent, middle = highest - lowest, (highest + lowest) / 2
    opens = np.append(np.searchsorted(form.window, np.arange(int(form.window[-1]) + 1)), len(form.window))
    weight = np.ascontiguousarray(form.weight[state], dtype=float)
    square = weight**2
    return Grid(
        columns=np.concatenate([logs, states - middle[:, None], np.ones((1, states.shape[1]))]),
        states=states,
        positive=np.ascontiguousarray(positive, dtype=bool),
        step=spread(form.step[None], 0.0)[0],
        target=np.ascontiguousarray(form.target[state], dtype=float),
        weight=weight,
        square=square,
        share=1.0 / np.maximum(np.add.reduceat(square, opens[:-1]), 1e-300),
        opens=opens.astype(np.int64),
        range=np.where(extent > 1e-6 * np.abs(form.nodes).max(axis=0), extent, 0.0),
        middle=middle,
    )
