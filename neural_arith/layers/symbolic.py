"""Weights as expressions: sums and products of powers that evaluate to exactly what the units compute."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

__all__ = ["floored_product", "number", "power_product", "selected_product", "weighted_sum"]


def number(value: float) -> sp.Expr:
    """A plain sympy number: an Integer where the value is one, else a Float with all its digits."""
    value = float(value)
    return sp.Integer(int(value)) if value.is_integer() and abs(value) < 2**53 else sp.Float(value)


def weighted_sum(inputs: Sequence[sp.Expr], weights: Sequence[float]) -> sp.Expr:
    """``sum_i w_i x_i`` without the terms of weight zero."""
    return sp.Add(*(number(w) * x for x, w in zip(inputs, weights, strict=True) if w))


def selected_product(inputs: Sequence[sp.Expr], weights: Sequence[float]) -> sp.Expr:
    """``prod_i (w_i x_i + 1 - w_i)``, plain ``x`` where the weight is 1, nothing where it is 0."""
    return sp.Mul(*(number(w) * x + number(1 - w) for x, w in zip(inputs, weights, strict=True) if w))


def floored_product(inputs: Sequence[sp.Expr], weights: Sequence[float], floor: float) -> sp.Expr:
    """``prod_i max(|x_i|, floor)^w_i`` without the factors of weight zero."""
    return sp.Mul(*(sp.Max(sp.Abs(x), number(floor)) ** number(w) for x, w in zip(inputs, weights, strict=True) if w))


def power_product(
    inputs: Sequence[sp.Expr],
    real: Sequence[float],
    imaginary: Sequence[float],
    gates: Sequence[float],
    *,
    positive: bool = False,
    exponent: sp.Expr = sp.S.Zero,
    angle: sp.Expr = sp.S.Zero,
) -> sp.Expr:
    """``Re prod_i x_i^(a_i + i b_i) * exp(exponent + i angle)``, as the power units compute it.

    Integer powers come out as ``x**n``, and so does every power of an input that is known not to be negative
    (by its sympy assumptions or by ``positive``). Otherwise the real part of the principal power is written
    with ``Abs`` and the cosine of the phase, the phase as a Piecewise that all printers and lambdify know.

    Args:
        inputs: one expression per input.
        real: real exponents a.
        imaginary: imaginary exponents b.
        gates: gates within [0, 1]; a half-open gate g turns x into ``g |x| + 1 - g`` with phase ``g K``.
        positive: whether no input is ever negative.
        exponent: a further real exponent of e.
        angle: a further angle inside the cosine.
    """
    product = sp.S.One
    for x, a, b, gate in zip(inputs, real, imaginary, gates, strict=True):
        if gate == 0 or (a == 0 and b == 0):
            continue
        if gate == 1 and b == 0 and float(a).is_integer():
            product *= x ** number(a)
            continue
        known = positive or x.is_nonnegative
        magnitude = x if known else sp.Abs(x)
        if gate != 1:
            magnitude = number(gate) * magnitude + number(1 - gate)
        product *= magnitude ** number(a)
        if b:
            angle += number(b) * sp.log(magnitude)
        if not known:
            below = sp.Piecewise((sp.S.One, x < 0), (sp.S.Zero, True))
            angle += number(gate * a) * sp.pi * below
            exponent -= number(gate * b) * sp.pi * below
    return product * sp.exp(exponent) * sp.cos(angle)
