"""Products of powers of sums, ``prod_k (w_k . x)^p_k``: sums under a power unit, without descent by gradient.

What the literature's hardest task asks for (an operation on sums of overlapping subsets of 100 inputs) is algebra:

* one sum: ``y^(1/p)`` is linear in x;
* a quotient: ``y^(1/p) (v . x) = u . x`` is linear and homogeneous in (u, v), whose smallest singular vector is the
  answer;
* a product: ``y^(1/p) = (u . x)(v . x)`` is bilinear, a least-squares problem of zero residual;
* any two powers of positive sums: ``log y = p log(u . x) + q log(v . x)`` is linear in (p, q), which are projected out
  (variable projection, Golub & Pereyra 1973), and the regression of log y on x tells which inputs belong to which sum.

The scale of a sum is free where another takes it up. It is chosen so that coefficients are whole numbers if they can
be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_arith.layers.algebra.closed_form import (
    power_sensitivity,
    regress,
    relative_error,
    rounding,
    simplify,
    sum_weights,
)

__all__ = ["PowersOfSums", "fit_powers_of_sums"]

POWERS = (1.0, -1.0, 0.5, 2.0, -0.5, -2.0, 3.0, -3.0, 1 / 3, -1 / 3)
PAIRS = (1.0, 0.5, 2.0, -1.0, -0.5, -2.0)
_ITERATIONS = 200


@dataclass(frozen=True)
class PowersOfSums:
    """A product of powers of sums.

    Attributes:
        sums: coefficients, ``(terms, I)``.
        powers: exponents, ``(terms,)``.
    """

    sums: Tensor
    powers: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """The values at ``x``, ``(N, I)`` to ``(N,)``."""
        return _value(x, self.sums, self.powers)

    def sensitivity(self, x: Tensor) -> Tensor:
        """The change of the values, ``(N,)``, for each unit of relative change of the addends of the sums."""
        sums = x @ self.sums.T
        grown = self(x).abs() * ((x.abs() @ self.sums.abs().T / sums.abs()) @ self.powers.abs())
        return grown + power_sensitivity(self(x)[:, None], sums, self.powers[None])[:, 0]


def fit_powers_of_sums(
    x: Tensor, y: Tensor, live: Tensor, tolerance: float, *, powers: bool = True, terms: int = 2, seed: int = 0
) -> PowersOfSums:
    """One or two sums and their powers: the first of the forms above that is exact, else the best.

    Args:
        x: ``(N, I)``; use several times as many samples as there are coefficients.
        y: ``(N,)``.
        live: which inputs may be part of a sum, ``(I,)``.
        tolerance: relative size of rounding errors.
        powers: whether exponents may be other than 1.
        terms: most sums, 1 or 2.
        seed: of the starts of the iterations.
    """
    inner, least = x[:, live], math.inf
    best = PowersOfSums(inner.new_zeros(1, inner.shape[1]), inner.new_ones(1))
    for sums, exponents in _candidates(inner, y, tolerance, powers, terms, seed):
        for sign in (1.0, -1.0):  # roots of sums want them positive
            found = PowersOfSums(sign * sums, exponents)
            error = relative_error(found(inner), y)
            if math.isfinite(error):
                break
        if error < least:
            best, least = found, error
            if error <= rounding(y, found.sensitivity(inner), tolerance):
                break
    wide = x.new_zeros(len(best.sums), x.shape[1])
    wide[:, live] = best.sums
    return PowersOfSums(wide, best.powers)


def _value(x: Tensor, sums: Tensor, powers: Tensor) -> Tensor:
    return ((x @ sums.T) ** powers).prod(1)


def _candidates(
    x: Tensor, y: Tensor, tolerance: float, powers: bool, terms: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Forms from the cheapest on."""
    for power in POWERS if powers else (1.0,):
        root = _root(y, power)
        if root is not None:
            yield sum_weights(x, root, torch.ones_like(x[0], dtype=torch.bool), tolerance)[None], y.new_tensor([power])
    if terms < 2:
        return
    if powers:
        for power in PAIRS[:3]:
            root = _root(y, power)
            if root is not None:
                yield _quotient(x, root, tolerance), y.new_tensor([power, -power])
    generator = torch.Generator().manual_seed(seed)
    for spread in (0.3, 1.0, 10.0, 0.3, 1.0, 3.0, 0.1, 0.3, 1.0):
        yield _whole(x, _product(x, y, spread, generator), y, (1.0, 1.0), tolerance), y.new_ones(2)
    if powers and bool((y > 0).all()):
        for start in _starts(x, y.log()):
            found = _any_powers(x, y, start, tolerance)
            if found is not None:
                yield found
    for power in PAIRS[1:] if powers else ():
        root = _root(y, power)
        if root is not None:
            sums = _product(x, root, 0.3, generator)
            yield _whole(x, sums, root, (1.0, 1.0), tolerance), y.new_tensor([power, power])


def _root(y: Tensor, power: float) -> Tensor | None:
    """``y^(1/power)``, real and finite; None if it is not."""
    root = y.sign() * y.abs() ** (1 / power) if abs(power) == 3.0 else y ** (1 / power)
    return root if bool(torch.isfinite(root).all()) else None


def _whole(x: Tensor, sums: Tensor, y: Tensor, powers: tuple[float, float], tolerance: float) -> Tensor:
    """Two sums whose product of ``powers`` is y, scaled so that coefficients are whole numbers where they can be.

    The first takes each of a few scales, the second takes up the rest.
    """
    first, second = sums
    sign = 1.0 if float(first.sum()) >= 0 else -1.0
    exponents = y.new_tensor(powers)

    def predict(pair: Tensor) -> Tensor:
        return _value(x, pair, exponents)

    for largest in (1, 2, 3):
        scale = sign * largest / first.abs().max()
        pair = torch.stack([first * scale, second * scale ** (-powers[0] / powers[1])])
        # Near a zero of a sum that is divided by, the order of addition alone changes much.
        error = rounding(y, PowersOfSums(pair, exponents).sensitivity(x), tolerance)
        simple = simplify(pair, y, predict, error)
        if simple is not pair:
            return simple
    scale = sign / first.abs().max()
    return torch.stack([first * scale, second * scale ** (-powers[0] / powers[1])])


def _quotient(x: Tensor, y: Tensor, tolerance: float) -> Tensor:
    """U and v with ``(u . x) / (v . x) = y``: the smallest singular vector of ``[x, -y x]``."""
    size = x.square().mean().sqrt() * (y.square().mean().sqrt() or 1.0)
    if not size:  # no input is live, or all are zero
        return torch.zeros(2, x.shape[1], dtype=x.dtype, device=x.device)
    vectors = torch.linalg.svd(
        torch.cat([x * y.square().mean().sqrt(), -y[:, None] * x], 1) / size, full_matrices=False
    )
    vector = vectors.Vh[-1]
    over, under = vector[: x.shape[1]] * y.square().mean().sqrt(), vector[x.shape[1] :]
    return _whole(x, torch.stack([under, over]), y, (-1.0, 1.0), tolerance).flip(0)


def _product(x: Tensor, y: Tensor, spread: float, generator: torch.Generator) -> Tensor:
    """U and v with ``(u . x)(v . x) = y``, by Levenberg-Marquardt from both near the root's linear fit."""
    middle = regress(x, y.abs().sqrt())
    shift = spread * middle.abs().mean() * torch.randn(x.shape[1], generator=generator, dtype=x.dtype)

    def residual(weights: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
        u, v = x @ weights[: x.shape[1]], x @ weights[x.shape[1] :]
        return y - u * v, lambda: torch.cat([v[:, None] * x, u[:, None] * x], 1)

    return _descend(residual, torch.cat([middle + shift, middle - shift])).reshape(2, -1)


def _starts(x: Tensor, target: Tensor) -> Iterator[Tensor]:
    """Two sums from the slopes of ``target`` by x: by sign, and by size (low ones to one sum, high to the other)."""
    slope = regress(x - x.mean(0), target - target.mean())
    top = slope.abs().max()
    yield torch.stack([slope.clamp(min=0), (-slope).clamp(min=0)]) + 0.02 * top
    size = slope * slope.mean().sign() / top
    yield torch.stack([size > 0.5, (size > 0.15) & (size <= 0.5)]).to(x.dtype) * 0.9 + 0.1


def _any_powers(x: Tensor, y: Tensor, start: Tensor, tolerance: float) -> tuple[Tensor, Tensor] | None:
    """Two sums, positive at all samples, and their powers, projected out of ``log y``; None if the start is not."""
    target = y.log()
    powers = target.new_zeros(2)

    def residual(weights: Tensor) -> tuple[Tensor, Callable[[], Tensor]] | None:
        nonlocal powers
        sums = x @ weights.reshape(2, -1).T
        if not bool((sums > 0).all()):
            return None
        basis, triangle = torch.linalg.qr(sums.log())
        found = torch.linalg.lstsq(triangle, (basis.T @ target)[:, None], driver="gelsd").solution[:, 0]

        def jacobian() -> Tensor:
            slopes = torch.cat([found[0] * x / sums[:, :1], found[1] * x / sums[:, 1:]], 1)
            return slopes - basis @ (basis.T @ slopes)

        powers = found
        return target - basis @ (basis.T @ target), jacobian

    if residual(start.flatten()) is None:
        return None
    weights = _descend(residual, start.flatten())
    residual(weights)
    sums = weights.reshape(2, -1)
    exponents = simplify(powers, target, lambda p: (x @ sums.T).log() @ p, 1e-6, (1, 2, 3, 4, 5, 10))
    for scaled in ((a, b) for a in (1, 2, 3) for b in (1, 2, 3)):
        pair = sums / sums.abs().amax(1, keepdim=True) * y.new_tensor(scaled)[:, None]
        simple = simplify(pair, y, lambda w: _value(x, w, exponents), tolerance)
        if simple is not pair:
            return simple, exponents
    return sums, powers


def _descend(residual: Callable[[Tensor], tuple[Tensor, Callable[[], Tensor]] | None], weights: Tensor) -> Tensor:
    """Levenberg-Marquardt with Marquardt's scaling; ``residual`` gives None where it has no value."""
    now = residual(weights)
    if now is None:
        return weights
    left, jacobian = now
    cost, damping, quiet = left.square().sum(), 1e-3, 0
    floor = 1e-30 * max(cost.item(), len(left) * torch.finfo(left.dtype).tiny)
    for _ in range(_ITERATIONS):
        slopes = jacobian()
        normal, gradient = slopes.T @ slopes, slopes.T @ left
        tried = None
        for _ in range(12):
            damped = normal + torch.diag(damping * normal.diagonal().clamp(min=1e-300))
            factor, info = torch.linalg.cholesky_ex(damped)
            if int(info) == 0:
                moved = weights + torch.cholesky_solve(gradient[:, None], factor)[:, 0]
                tried = residual(moved)
                if tried is not None and float(tried[0].square().sum()) < cost:
                    break
                tried = None
            damping *= 10
        if tried is None:
            break
        weights, (left, jacobian) = moved, tried  # pyright: ignore[reportPossiblyUnboundVariable]
        new = left.square().sum()
        quiet = quiet + 1 if new > cost * (1 - 1e-6) else 0
        cost, damping = new, max(damping / 10, 1e-15)
        if quiet > 5 or cost <= floor or not math.isfinite(cost):
            break
    return weights
