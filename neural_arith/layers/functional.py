"""The formulas of all units as pure functions: no state, real arithmetic, exact at zero.

Every layer, the flat variants and the discovery engine call these, so there is one formula in one place.

Shapes. Inputs are ``(*batch, I)``, weights ``(O, I)``, results ``(*batch, O)``. Weights may carry a
*population* in front, ``(*pop, O, I)``, and then the result is ``(*pop, *batch, O)``: every member sees the
same inputs. With ``aligned=True`` the inputs already carry the population, ``(*pop, *batch, I)``, and member
meets member (the second layer of a population of chains).

Powers. A product of powers is a sum in log-polar form, ``x = exp(L + iK)`` with ``L = log|x|`` and ``K = pi``
for negative ``x``, else 0. With complex exponents ``W = Wr + iWi`` (Heim, Pevný, Šmídl: Neural Power Units,
NeurIPS 2020, section 3; the printed definition swaps the two cases of K)::

    Re prod_i x_i^W_oi = exp(Wr L - Wi K) cos(Wi L + Wr K)

Work that cannot change the result is skipped, without changing a bit of it: no negative input, no ``K``; no
imaginary weights, no ``Wi``; both, and one matrix product and one ``exp`` remain. A zero input has no
logarithm. No epsilon is added for it; ``log_polar`` hands the zeros on as a third quantity and ``power_unit``
multiplies the exact ``0^w`` back in: 0 for w > 0, 1 for w = 0, inf for w < 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import linear as _linear

from neural_arith.errors import DomainError, OptionError

__all__ = [
    "check_option",
    "clip_through",
    "floored_product",
    "gated_polar",
    "lifted_polar",
    "linear",
    "log_polar",
    "mix",
    "nac_weight",
    "nmu",
    "npu",
    "power_unit",
    "working_dtype",
]

NEGATIVE = ("real", "error", "positive")
AT_ZERO = ("inf", "error")
PRECISION = ("double", "same")

Polar = tuple[Tensor, Tensor | None, Tensor | None]


def check_option(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return ``value`` if it is allowed, else raise an OptionError that lists what is."""
    if value not in allowed:
        raise OptionError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return value


def working_dtype(x: Tensor, precision: str = "double") -> torch.dtype:
    """The type in which logarithms and their products are formed.

    A logarithm of size 18 (x = 1e-8) rounded to float32 is off by 1e-6, and so is the power: ten units in the
    last place. Carried in float64, the power comes out correctly rounded in all but a few cases. ``"same"``
    trades that for the speed of the input's own type. Devices without float64 (Apple's mps) always work in
    the input's type.
    """
    return torch.float64 if precision == "double" and x.device.type != "mps" else x.dtype


def clip_through(x: Tensor, low: float, high: float) -> Tensor:
    """Clip the value to ``[low, high]`` and pass the gradient unchanged, also outside.

    A hard clip stops the gradient of a gate that has left [0, 1], and it never comes back.
    """
    # (x - x) is exactly zero; x + (clip - x) would not give exactly the bound.
    return x.clamp(low, high).detach() + (x - x.detach())


def linear(x: Tensor, weight: Tensor, aligned: bool = False) -> Tensor:
    """``x @ weight.T`` for any batch of inputs and any population of weights.

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        weight: ``(*pop, O, I)``.
        aligned: whether ``x`` carries the population axes in front.

    Returns:
        ``(*pop, *batch, O)``.
    """
    x, weight = _same_type(x, weight)
    if weight.dim() == 2:
        return _linear(x, weight)
    batch = _batch_shape(x, weight, aligned)
    # In this order the gradient by the weights is a plain product too; the other way round it costs six times as much.
    out = (weight @ _as_matrix(x, weight, aligned).mT).mT
    return out.reshape(*weight.shape[:-2], *batch, weight.shape[-2])


def nmu(x: Tensor, weight: Tensor, aligned: bool = False) -> Tensor:
    """Neural multiplication unit, ``prod_i (w_oi x_i + 1 - w_oi)`` (Madsen & Johansen, ICLR 2020, eq. 11).

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        weight: ``(*pop, O, I)``, in [0, 1].
        aligned: whether ``x`` carries the population axes in front.

    Returns:
        ``(*pop, *batch, O)``. An intermediate of shape ``(*pop, *batch, O, I)`` is formed.
    """
    x, weight = _same_type(x, weight)
    batch = _batch_shape(x, weight, aligned)
    factors = weight.unsqueeze(-3) * _as_matrix(x, weight, aligned).unsqueeze(-2) + (1 - weight).unsqueeze(-3)
    return factors.prod(-1).reshape(*weight.shape[:-2], *batch, weight.shape[-2])


def nac_weight(w_hat: Tensor, m_hat: Tensor) -> Tensor:
    """``tanh(w_hat) * sigmoid(m_hat)``, biased towards -1, 0 and 1 (Trask et al., NeurIPS 2018, eq. 1)."""
    return torch.tanh(w_hat) * torch.sigmoid(m_hat)


def floored_product(x: Tensor, weight: Tensor, floor: float, cap: float | None = None) -> Tensor:
    """``exp(min(W log max(|x|, floor), cap))``, the multiplying path of NALU and INALU.

    Args:
        x: ``(*batch, I)``.
        weight: ``(*pop, O, I)``.
        floor: lower bound of ``|x|``, positive; the papers' is 1e-7.
        cap: upper bound of the logarithm of a product, or None.

    Returns:
        ``(*pop, *batch, O)`` in the common type of ``x`` and ``weight``, formed in float64.
    """
    x, weight = _same_type(x, weight)
    work = working_dtype(x)
    log_abs = torch.log(x.to(work).abs().clamp(min=floor))
    return power_unit(log_abs, None, weight.to(work), cap=cap).to(x.dtype)


def mix(gate: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """``g * first + (1 - g) * second``."""
    return gate * first + (1 - gate) * second


def log_polar(x: Tensor) -> Polar:
    """Split ``x`` into log-magnitude, phase and zeros.

    Args:
        x: any shape.

    Returns:
        ``(log_abs, phase, zero)`` of the shape of ``x``: ``log|x|`` (0 where x is 0); ``pi`` where x is
        negative and 0 elsewhere, or None if no x is negative; x itself (that is 0) where x is zero and 1
        elsewhere, or None if no x is zero. ``zero`` carries the gradient of the zeros: d(x y)/dx is y also at
        x = 0.
    """
    negatives, zeros = _look(x)
    magnitude, below = _magnitude(x, negatives)
    log_abs, zero = _log(magnitude, zeros)
    return log_abs, None if below is None else below.to(x.dtype) * math.pi, zero


def gated_polar(x: Tensor, gate: Tensor, aligned: bool = False) -> Polar:
    """``log_polar`` of the gated inputs: magnitude ``g|x| + (1 - g)``, phase ``g K``.

    A gate of 0 replaces its input by 1, so a zero among irrelevant inputs cannot silence a product (Heim,
    Pevný, Šmídl 2020, section 3.2; without the epsilon of the published code). Gates are clipped to [0, 1],
    their gradient passes the clip unchanged.

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        gate: ``(*pop, I)``, one gate per input.
        aligned: whether ``x`` carries the population axes in front.

    Returns:
        As ``log_polar``, each ``(*pop, *batch, I)``: aligned with the population.
    """
    gate = clip_through(gate, 0.0, 1.0)
    batch_axes = x.dim() - 1 - (gate.dim() - 1 if aligned else 0)
    gate = gate.reshape(*gate.shape[:-1], *(1,) * batch_axes, gate.shape[-1])
    negatives, zeros = _look(x)
    magnitude, below = _magnitude(x, negatives)
    log_abs, zero = _log(torch.addcmul(1 - gate, gate, magnitude), zeros)
    return log_abs, None if below is None else below * (gate * math.pi), zero


def lifted_polar(x: Tensor) -> Polar:
    """``log_polar`` of the lifted inputs ``(x_1..x_I, e^x_1..e^x_I, e)``: ``[log|x|, x, 1]``, no overflow.

    With these a power unit spans products of ``|x|^a e^(b x) cos(w x + phi)``: the real weight of e^x_j is a
    rate b, its imaginary weight a frequency w, the imaginary weight of e is the phase phi, its real weight
    log of an amplitude.

    Args:
        x: ``(*batch, I)``.

    Returns:
        ``log_abs`` of shape ``(*batch, 2 I + 1)``; ``phase`` and ``zero`` of shape ``(*batch, I)`` or None:
        they cover only the first I columns, the others are positive.
    """
    log_abs, phase, zero = log_polar(x)
    one = torch.ones_like(x[..., :1])
    return torch.cat([log_abs, x, one], -1), phase, zero


def power_unit(
    log_abs: Tensor,
    phase: Tensor | None,
    wr: Tensor,
    wi: Tensor | None = None,
    zero: Tensor | None = None,
    *,
    aligned: bool = False,
    cap: float | None = None,
) -> Tensor:
    """Products of powers: ``exp(Wr L - Wi K) cos(Wi L + Wr K)``, times the exact ``0^w`` of the zeros.

    Args:
        log_abs: L, ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        phase: K, the same shape (or its first columns only); None if no input is negative.
        wr: real exponents, ``(*pop, O, I)``.
        wi: imaginary exponents, the same shape; None if all are zero.
        zero: the third result of ``log_polar``; None if no input is zero.
        aligned: whether the inputs carry the population axes in front.
        cap: upper bound for the exponent of e, or None.

    Returns:
        ``(*pop, *batch, O)``. Where an input is zero: 0 if its exponent is positive, 1 if it is zero, inf if
        negative, nan if the exponent is imaginary without a positive real part (there is no limit), or if 0
        meets inf.
    """
    exponent = linear(log_abs, wr, aligned)
    angle = None if wi is None else linear(log_abs, wi, aligned)
    if phase is not None:
        columns = phase.shape[-1]
        turn = linear(phase, wr[..., :columns], aligned)
        angle = turn if angle is None else angle + turn
        if wi is not None:
            exponent = exponent - linear(phase, wi[..., :columns], aligned)
    if cap is not None:
        exponent = exponent.clamp(max=cap)
    out = torch.exp(exponent)
    if angle is not None:
        out = out * torch.cos(angle)
    if zero is not None:
        columns = zero.shape[-1]
        out = _times_zeros(out, zero, wr[..., :columns], None if wi is None else wi[..., :columns], aligned)
    return out


def npu(
    x: Tensor,
    wr: Tensor,
    wi: Tensor | None = None,
    gate: Tensor | None = None,
    *,
    lifted: bool = False,
    negative: str = "real",
    at_zero: str = "inf",
    precision: str = "double",
    aligned: bool = False,
) -> Tensor:
    """The whole family of power units in the type of ``x``: naive or gated, real or complex, plain or lifted.

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        wr: real exponents, ``(*pop, O, I)``, or ``(*pop, O, 2 I + 1)`` if lifted.
        wi: imaginary exponents, the same shape, or None.
        gate: ``(*pop, I)``, or None for the naive units. Not with ``lifted``.
        lifted: whether the inputs are ``lifted_polar``'s.
        negative: what a negative input means. ``"real"``: the real part of the principal power, the papers'
            semantics
            (``(-8)^(1/3)`` is 1, ``(-4)^(1/2)`` is 0); ``"error"``: a DomainError unless every power of it is
            an integer; ``"positive"``: a DomainError always.
        at_zero: zero to a negative power. ``"inf"``, or ``"error"`` for a DomainError.
        precision: ``"double"`` works in float64 inside whatever the type of ``x`` (see ``working_dtype``),
            ``"same"``
            in the type of ``x``.
        aligned: whether ``x`` carries the population axes in front.

    Returns:
        ``(*pop, *batch, O)`` in the common type of ``x`` and ``wr``.

    Raises:
        DomainError: as asked for by ``negative`` and ``at_zero``.
        OptionError: gates for a lifted unit.
    """
    if lifted and gate is not None:
        raise OptionError("a lifted power unit has no gates; pass gate=None, or lifted=False")
    x, wr = _same_type(x, wr)
    work = working_dtype(x, precision)
    inner = x.to(work)
    wi = None if wi is None else _unless_zero(wi)
    wr, wi = wr.to(work), None if wi is None else wi.to(work)
    if gate is None:
        polar = lifted_polar(inner) if lifted else log_polar(inner)
    else:
        polar = gated_polar(inner, gate.to(work), aligned)
        aligned = aligned or gate.dim() > 1
    if negative != "real" and polar[1] is not None:
        _check_negative(polar[1], wr, wi, gate, negative)
    if at_zero == "error" and polar[2] is not None:
        _check_zero(polar[2], wr, wi)
    return power_unit(polar[0], polar[1], wr, wi, polar[2], aligned=aligned).to(x.dtype)


def _same_type(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    kind = torch.promote_types(x.dtype, weight.dtype)
    return x.to(kind), weight.to(kind)


def _batch_shape(x: Tensor, weight: Tensor, aligned: bool) -> torch.Size:
    return x.shape[weight.dim() - 2 : -1] if aligned else x.shape[:-1]


def _as_matrix(x: Tensor, weight: Tensor, aligned: bool) -> Tensor:
    """``(*batch, I)`` as ``(N, I)``, aligned ``(*pop, *batch, I)`` as ``(*pop, N, I)``."""
    population = weight.shape[:-2] if aligned else ()
    return x.reshape(*population, math.prod(_batch_shape(x, weight, aligned)), x.shape[-1])


def _known(condition: Tensor) -> bool | None:
    """The truth of a condition on the data, or None inside vmap and compilation: nothing is known there."""
    if torch.compiler.is_compiling():
        return None
    try:
        return bool(condition)
    except RuntimeError as error:
        if "vmap" in str(error):
            return None
        raise


def _look(x: Tensor) -> tuple[bool, bool]:
    """Whether some input is negative, whether some is zero; both if that cannot be known."""
    if not x.numel():
        return False, False
    values = x.detach()
    if _known(values.amin() > 0):  # one pass settles the common case; false for nan
        return False, False
    return _known((values < 0).any()) is not False, _known((values == 0).any()) is not False


def _magnitude(x: Tensor, negatives: bool) -> tuple[Tensor, Tensor | None]:
    """``|x|`` and where x is negative. The gradient at zero is 1, as that of x^1, not 0 as that of abs."""
    if not negatives:
        return x, None
    below = x < 0
    return torch.where(below, -x, x), below


def _log(magnitude: Tensor, zeros: bool) -> tuple[Tensor, Tensor | None]:
    if not zeros:
        return torch.log(magnitude), None
    hit = magnitude == 0
    return torch.log(torch.where(hit, 1.0, magnitude)), torch.where(hit, magnitude, 1.0)


def _times_zeros(out: Tensor, zero: Tensor, wr: Tensor, wi: Tensor | None, aligned: bool) -> Tensor:
    """Multiply ``out`` by ``prod_i zero_i^w_oi``, on the samples and inputs that have zeros at all."""
    shape, members = out.shape, wr.shape[:-2]
    out = out.reshape(*members, math.prod(_batch_shape(zero, wr, aligned)), wr.shape[-2])
    zero = _as_matrix(zero, wr, aligned)
    hit = zero.detach() == 0
    while hit.dim() > 2:
        hit = hit.any(0)
    if _known(hit.any()) is None:
        return _scaled(out, zero, wr, wi).reshape(shape)
    rows, columns = hit.any(1).nonzero().squeeze(1), hit.any(0).nonzero().squeeze(1)
    base = zero.index_select(-2, rows).index_select(-1, columns)
    wr, wi = wr.index_select(-1, columns), None if wi is None else wi.index_select(-1, columns)
    changed = _scaled(out.index_select(-2, rows), base, wr, wi)
    return out.index_copy(-2, rows, changed).reshape(shape)


def _scaled(out: Tensor, base: Tensor, wr: Tensor, wi: Tensor | None) -> Tensor:
    """``out * prod_i base_i^w_oi`` for bases 0 and 1; ``(*pop, N, O)``, ``(*pop, N, I)``, ``(*pop, O, I)``.

    The derivative by a base of 0 is 1 for w = 1 and 0 for w > 1. For w < 1 it is infinite, and 0 is given
    instead; so it is for results that are not finite: inf in one unit would make nan of the gradient of all
    others (0 * inf).
    """
    base, wr = base.unsqueeze(-2), wr.detach().unsqueeze(-3)
    hit = base.detach() == 0
    power = torch.where(hit & (wr > 0), 0.0, 1.0).to(out.dtype)
    wild = torch.where(hit & (wr < 0), math.inf, 1.0).to(out.dtype)
    if wi is not None:
        wild = wild.masked_fill(hit & (wr <= 0) & (wi.detach().unsqueeze(-3) != 0), math.nan)
    scaled = out * (power + torch.where(hit & (wr == 1), base, 0.0)).prod(-1)
    wild = wild.prod(-1)
    tame = torch.isfinite(wild)
    return torch.where(tame, scaled, scaled.detach() * wild)


def _unless_zero(wi: Tensor) -> Tensor | None:
    """None if all imaginary weights are zero and nobody asks for their gradient."""
    if torch.is_grad_enabled() and wi.requires_grad:
        return wi
    return None if _known((wi != 0).any()) is False else wi


def _offending(hit: Tensor, bad: Tensor) -> list[int]:
    """Inputs (columns) that somewhere have the property ``hit`` and a weight with the property ``bad``."""
    columns = hit.shape[-1]
    both = hit.reshape(-1, columns).any(0) & bad[..., :columns].reshape(-1, columns).any(0)
    return both.nonzero().flatten().tolist()


def _check_negative(phase: Tensor, wr: Tensor, wi: Tensor | None, gate: Tensor | None, negative: str) -> None:
    bad = torch.ones_like(wr, dtype=torch.bool) if negative == "positive" else wr != wr.round()
    if negative == "error" and wi is not None:
        bad = bad | (wi != 0)
    if negative == "error" and gate is not None:
        bad = bad | ((gate > 0) & (gate < 1) & (wr != 0).any(-2)).unsqueeze(-2)
    inputs = _offending(phase != 0, bad)
    if inputs and negative == "positive":
        raise DomainError(
            f"inputs {inputs} were declared positive and have negative values; shift or drop them, or use "
            'negative="real"'
        )
    if inputs:
        raise DomainError(
            f"inputs {inputs} have negative values and powers that are not integers (or half-open gates); "
            'round the exponents, or use negative="real" for the real part of the principal power'
        )


def _check_zero(zero: Tensor, wr: Tensor, wi: Tensor | None) -> None:
    bad = wr < 0
    if wi is not None:
        bad = bad | ((wi != 0) & (wr <= 0))
    inputs = _offending(zero == 0, bad)
    if inputs:
        raise DomainError(
            f'inputs {inputs} are zero and have negative powers; drop these samples, or use at_zero="inf"'
        )
