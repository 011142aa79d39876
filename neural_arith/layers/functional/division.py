"""The division units NRU and NMRU: products and quotients of selected inputs.

From Mistry, Farrahi, Hare: Exploring the learning mechanisms of neural division modules, TMLR 2022 (first as
arXiv 2110.05177). A zero input is taken by cases, as in the power units: what divides by it is inf, what
multiplies by it is 0, what leaves it out does not see it. Where the result is not finite it has no gradient,
so one such output makes no nan of the others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neural_arith.layers.functional.common import (
    as_matrix,
    batch_shape,
    linear,
    look,
    magnitude_of,
    same_type,
    working_dtype,
)
from neural_arith.layers.functional.selection import nmu

__all__ = ["nmru", "nru", "relevance"]


def relevance(weight: Tensor, steep: bool) -> Tensor:
    """How far an NRU sees its inputs: ``|w|``, or ``tanh(1000 w)^2``, which is 1 for all but the smallest w."""
    return torch.tanh(1000 * weight).square() if steep else weight.abs()


def nru(x: Tensor, weight: Tensor, share: Tensor, *, sign: str = "joint", aligned: bool = False) -> Tensor:
    """Neural reciprocal unit, ``prod_i (s_oi sign(x_i) |x_i|^w_oi + 1 - s_oi)``.

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        weight: exponents w, ``(*pop, O, I)``, in [-1, 1].
        share: s, of the same shape, in [0, 1]; see ``relevance``.
        sign: ``"joint"``: as above; ``"separate"``: magnitudes as above, times ``prod_i sign(x_i)^round(w_oi)``.
        aligned: whether ``x`` carries the population axes in front.

    Returns:
        ``(*pop, *batch, O)`` in the common type of ``x`` and ``weight``, formed in float64. An intermediate of
        shape ``(*pop, *batch, O, I)`` is formed.
    """
    x, weight = same_type(x, weight)
    work = working_dtype(x)
    base = as_matrix(x.to(work), weight, aligned).unsqueeze(-2)
    w, s = weight.to(work).unsqueeze(-3), share.to(work).unsqueeze(-3)
    magnitude, below = magnitude_of(base, negatives=True)
    hit = magnitude == 0
    power = torch.where(hit, 1.0, magnitude) ** w
    # 0^1 keeps the gradient of x; that of 0^w with w < 1 is infinite, and none is given.
    power = torch.where(hit & (w > 0), torch.where(w == 1, magnitude, 0.0), power)
    if below is not None and sign == "joint":
        power = torch.where(below, -power, power)
    out = (s * power + (1 - s)).prod(-1)
    if below is not None and sign == "separate":
        odd = (below & (w.round() != 0)).sum(-1) % 2 == 1
        out = torch.where(odd, -out, out)
    out = _with_poles(out, (hit & (w < 0) & (s > 0)).any(-1))
    return out.reshape(*weight.shape[:-2], *batch_shape(x, weight, aligned), weight.shape[-2]).to(x.dtype)


def nmru(x: Tensor, weight: Tensor, aligned: bool = False) -> Tensor:
    """Neural multiplicative reciprocal unit: an NMU over ``|x|`` and ``1 / |x|``, times the sign ``cos(W k)``.

    ``prod_i (v_oi |x_i| + 1 - v_oi) (u_oi / |x_i| + 1 - u_oi) * cos(pi sum_i (v_oi + u_oi) [x_i < 0])``.

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        weight: ``(*pop, O, 2 I)``, in [0, 1]: v, then u.
        aligned: whether ``x`` carries the population axes in front.

    Returns:
        ``(*pop, *batch, O)``. An intermediate of shape ``(*pop, *batch, O, 2 I)`` is formed.
    """
    x, weight = same_type(x, weight)
    size = x.shape[-1]
    negatives, zeros = look(x)
    magnitude, below = magnitude_of(x, negatives)
    hit = magnitude == 0
    out = nmu(torch.cat([magnitude, 1 / torch.where(hit, 1.0, magnitude)], -1), weight, aligned)
    if below is not None:
        work = working_dtype(x)
        turns = weight[..., :size].to(work) + weight[..., size:].to(work)
        out = out * torch.cos(math.pi * linear(below.to(work), turns, aligned)).to(x.dtype)
    if zeros:
        divides = (weight[..., size:] > 0).to(x.dtype)
        out = _with_poles(out, linear(hit.to(x.dtype), divides, aligned) > 0)
    return out


def _with_poles(out: Tensor, poles: Tensor) -> Tensor:
    """``out``, infinite with its own sign at the poles (nan where it is 0), and without gradient there."""
    return torch.where(poles, out.detach() * math.inf, out)
