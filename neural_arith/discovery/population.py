"""A population of power units fitted by variable projection: where units with unusual exponents come from.

One scalar equation is sum_h c_h * prod_j x_j^e_hj. For given exponents the coefficients are a least-squares solve, so
only exponents are searched: Levenberg-Marquardt on the projected residual (Golub & Pereyra, 1973) with Kaufman's
approximate Jacobian J = -P D c, in Gram form, for all restarts of all equations as one batch of tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neural_arith.discovery.integral_form import IntegralForm
from neural_arith.layers import functional

_STARTS = torch.tensor([-2.0, -1.0, -0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0], dtype=torch.float64)
_WHOLE = torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0, 3.0], dtype=torch.float64)
_LARGEST = 6.0


@dataclass(frozen=True)
class Fitted:
    """Local optima of one equation and one number of units, best first.

    Attributes:
        exponents: ``(optima, units, variables)``.
        cost: share of the target's sum of squares that is left, ``(optima,)``.
    """

    exponents: np.ndarray
    cost: np.ndarray


def _draw(n: int, units: int, positive: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Starting exponents and which of them are free: one or two active variables for each unit.

    A variable that changes sign gets a whole exponent that stays: its real powers are not real.
    """
    n_variables = len(positive)
    exponents = torch.zeros(n, units, n_variables, dtype=torch.float64)
    free = torch.zeros(n, units, n_variables, dtype=torch.bool)
    for _ in range(2):
        shape = (n, units)
        which = torch.randint(n_variables, shape, generator=generator)
        real = _STARTS[torch.randint(len(_STARTS), shape, generator=generator)]
        real = real + 0.2 * torch.randn(shape, generator=generator, dtype=torch.float64)
        whole = _WHOLE[torch.randint(len(_WHOLE), shape, generator=generator)]
        real_here = positive[which]
        value = torch.where(real_here, real, whole)
        exponents.scatter_(2, which[..., None], value[..., None])
        free.scatter_(2, which[..., None], real_here[..., None])
    return exponents, free


def _gram(form: IntegralForm, polar: tuple, exponents: Tensor, state: int, target: Tensor) -> Tensor:
    """Gram matrix of [unit columns, their log-derivatives, target]; all that the fit needs, ``(n, rows, rows)``."""
    log_abs, phase, zero = polar
    n, units, n_variables = exponents.shape
    values = functional.power_unit(log_abs, phase, exponents, None, zero).mT  # (n, units, points)
    slopes = values.unsqueeze(2) * log_abs.mT  # (n, units, variables, points)
    rows = torch.cat([values, slopes.reshape(n, units * n_variables, -1)], dim=1)
    columns = torch.from_numpy(form.columns(rows.numpy(), state))
    stacked = torch.cat([columns, target.expand(n, 1, -1)], dim=1)
    return stacked @ stacked.mT


def _project(gram: Tensor, units: int, exponents: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Coefficients, cost, gradient and Kaufman normal matrix in the exponents from a Gram matrix."""
    _n, _, n_variables = exponents.shape
    m = units * n_variables
    size = gram.diagonal(dim1=1, dim2=2)[:, :units].clamp_min(1e-300).sqrt()
    phi = gram[:, :units, :units] / (size[:, :, None] * size[:, None, :])
    phi = phi + 1e-11 * torch.eye(units, dtype=phi.dtype)
    right = gram[:, :units, units:] / size[:, :, None]
    solved = torch.cholesky_solve(right, torch.linalg.cholesky_ex(phi).L)
    coefficients = solved[:, :, -1] / size
    cost = gram[:, -1, -1] - (right[:, :, -1] * solved[:, :, -1]).sum(1)
    d_slope = gram[:, units : units + m, units : units + m] - right[:, :, :m].mT @ solved[:, :, :m]
    d_left = gram[:, units : units + m, -1] - (right[:, :, :m].mT @ solved[:, :, -1:]).squeeze(-1)
    c = coefficients.repeat_interleave(n_variables, dim=1)
    return coefficients, cost, c * d_left, d_slope * (c[:, :, None] * c[:, None, :])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tensors this small lose more to waiting for threads than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def fit_population(
    form: IntegralForm,
    state: int,
    units: int,
    positive: np.ndarray,
    *,
    restarts: int = 64,
    iterations: int = 40,
    generator: torch.Generator,
) -> Fitted:
    """Fit one equation with a given number of units from many random starts at once.

    Args:
        form: the regression problem.
        state: whose equation.
        units: number of units.
        positive: which variables never change sign, ``(variables,)``; only they get real exponents.
        restarts: members of the population.
        iterations: Levenberg-Marquardt iterations.
        generator: source of the random starts.

    Returns:
        Distinct optima, best first.
    """
    nodes = torch.from_numpy(form.nodes)
    log_abs, phase, zero = functional.log_polar(nodes)
    polar = (log_abs, phase, zero)
    target = torch.from_numpy(form.target[state])
    total = float(target @ target)
    exponents, free = _draw(restarts, units, torch.from_numpy(positive), generator)
    flat_free = free.reshape(restarts, -1)
    gram = _gram(form, polar, exponents, state, target)
    _, cost, gradient, normal = _project(gram, units, exponents)
    cost = torch.nan_to_num(cost, nan=torch.inf)
    damping = torch.full((restarts,), 1e-2, dtype=torch.float64)
    eye = torch.eye(flat_free.shape[1], dtype=torch.float64)
    for _ in range(iterations if bool(free.any()) else 0):
        keep = flat_free[:, :, None] & flat_free[:, None, :]
        scaled = torch.where(keep, torch.nan_to_num(normal), 0.0)
        diagonal = scaled.diagonal(dim1=1, dim2=2)
        ridge = damping[:, None] * diagonal + 1e-12 * diagonal.amax(1, keepdim=True) + 1e-300
        scaled = scaled + torch.diag_embed(torch.where(flat_free, ridge, 1.0)) * eye
        move = torch.where(flat_free, torch.nan_to_num(gradient), 0.0)
        change = torch.cholesky_solve(move[..., None], torch.linalg.cholesky_ex(scaled).L).squeeze(-1)
        change = torch.nan_to_num(change, nan=0.0, posinf=0.0, neginf=0.0)
        length = change.norm(dim=1, keepdim=True)
        change = change / length.clamp_min(1.0)
        trial = (exponents + change.view_as(exponents)).clamp(-_LARGEST, _LARGEST)
        gram = _gram(form, polar, trial, state, target)
        _, cost_new, gradient_new, normal_new = _project(gram, units, trial)
        better = cost_new < cost  # false for nan
        exponents = torch.where(better[:, None, None], trial, exponents)
        cost = torch.where(better, cost_new, cost)
        gradient = torch.where(better[:, None], gradient_new, gradient)
        normal = torch.where(better[:, None, None], normal_new, normal)
        damping = torch.where(better, damping * 0.3, damping * 4.0).clamp(1e-10, 1e10)
    return _distinct(exponents.numpy(), (cost / max(total, 1e-300)).numpy())


def _distinct(exponents: np.ndarray, cost: np.ndarray, most: int = 6) -> Fitted:
    """The best optima that differ from each other in more than the order of their units."""
    kept: list[tuple[np.ndarray, float]] = []
    for member in np.argsort(cost, kind="stable"):
        if not np.isfinite(cost[member]) or len(kept) == most:
            break
        rows = exponents[member]
        rows = rows[np.lexsort(np.round(rows, 2).T)]
        if all(np.abs(rows - other).max() > 0.02 for other, _ in kept):
            kept.append((rows, max(float(cost[member]), 0.0)))
    shape = (0, *exponents.shape[1:])
    return Fitted(
        np.stack([rows for rows, _ in kept]) if kept else np.zeros(shape),
        np.array([value for _, value in kept]),
    )
