"""Products of selected inputs: weights near 0 leave an input out, weights near 1 take it (near -1 divide by it)."""

from __future__ import annotations

import torch
from torch import Tensor

from neural_arith.layers.functional.common import as_matrix, batch_shape, same_type, working_dtype
from neural_arith.layers.functional.power import power_unit

__all__ = ["floored_product", "nac_weight", "nmu"]


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
    x, weight = same_type(x, weight)
    work = working_dtype(x)
    log_abs = torch.log(x.to(work).abs().clamp(min=floor))
    return power_unit(log_abs, None, weight.to(work), cap=cap).to(x.dtype)
