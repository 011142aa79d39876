"""Products of selected inputs: weights near 0 leave an input out, weights near 1 take it (near -1 divide by it)."""

from __future__ import annotations

import torch
from torch import Tensor

from neural_arith.layers.functional.common import as_matrix, batch_shape, same_type, working_dtype
from neural_arith.layers.functional.power import power_unit

__all__ = ["floored_product", "nac_weight", "nmu", "snmu"]


def nmu(x: Tensor, weight: Tensor, aligned: bool = False) -> Tensor:
    """Neural multiplication unit, ``prod_i (w_oi x_i + 1 - w_oi)`` (Madsen & Johansen, ICLR 2020, eq. 11).

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        weight: ``(*pop, O, I)``, in [0, 1].
        aligned: whether ``x`` carries the population axes in front.

    Returns:
        ``(*pop, *batch, O)``. An intermediate of shape ``(*pop, *batch, O, I)`` is formed.
    """
    x, weight = same_type(x, weight)
    batch = batch_shape(x, weight, aligned)
    factors = weight.unsqueeze(-3) * as_matrix(x, weight, aligned).unsqueeze(-2) + (1 - weight).unsqueeze(-3)
    return factors.prod(-1).reshape(*weight.shape[:-2], *batch, weight.shape[-2])


def snmu(x: Tensor, weight: Tensor, noise: Tensor, aligned: bool = False) -> Tensor:
    """Stochastic NMU, ``nmu(noise * x, W) / nmu(noise, W)`` (Mistry, Farrahi, Hare 2022, arXiv 2211.05624).

    For weights of 0 and 1 the noise cancels exactly; for others it does not, and that makes them poor minima.

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        weight: ``(*pop, O, I)``, in [0, 1].
        noise: positive factors, of the shape of ``x``.
        aligned: whether ``x`` and ``noise`` carry the population axes in front.

    Returns:
        ``(*pop, *batch, O)``.
    """
    return nmu(noise * x, weight, aligned) / nmu(noise, weight, aligned)


def nac_weight(w_hat: Tensor, m_hat: Tensor, rate: float = 1.0) -> Tensor:
    """``tanh(rate w_hat) * sigmoid(rate m_hat)``, biased towards -1, 0 and 1 (Trask et al. 2018, eq. 1).

    A rate of ``log b`` is tanh and sigmoid in base b: ``(b^2w - 1) / (b^2w + 1)`` and ``1 / (1 + b^-m)``.
    """
    return torch.tanh(rate * w_hat) * torch.sigmoid(rate * m_hat)


def floored_product(x: Tensor, weight: Tensor, floor: float, cap: float | None = None, aligned: bool = False) -> Tensor:
    """``exp(min(W log max(|x|, floor), cap))``, the multiplying path of NALU, INALU and the NAC in log space.

    Args:
        x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
        weight: ``(*pop, O, I)``.
        floor: lower bound of ``|x|``, positive; the papers' is 1e-7.
        cap: upper bound of the logarithm of a product, or None.
        aligned: whether ``x`` carries the population axes in front.

    Returns:
        ``(*pop, *batch, O)`` in the common type of ``x`` and ``weight``, formed in float64.
    """
    x, weight = same_type(x, weight)
    work = working_dtype(x)
    log_abs = torch.log(x.to(work).abs().clamp(min=floor))
    return power_unit(log_abs, None, weight.to(work), cap=cap, aligned=aligned).to(x.dtype)
