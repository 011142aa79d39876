"""The formulas of all units as pure functions: no state, real arithmetic, exact at zero.

Every layer and the flat variants call these, so there is one formula in one place. The compiled solver of the discovery
route writes power units once more, for Numba; tests hold both to the same values.

Shapes. Inputs are ``(*batch, I)``, weights ``(O, I)``, results ``(*batch, O)``. Weights may carry a
*population* in front, ``(*pop, O, I)``, and then the result is ``(*pop, *batch, O)``: every member sees the
same inputs. With ``aligned=True`` the inputs already carry the population, ``(*pop, *batch, I)``, and member
meets member (the second layer of a population of chains).

Examples:
    >>> import torch
    >>> from neural_arith.layers import functional
    >>> x, w = torch.tensor([2.0, 3.0]), torch.tensor([[1.0, -1.0]])
    >>> functional.linear(x, w).tolist(), functional.nmu(x, w.abs()).tolist()
    ([-1.0], [6.0])
"""

from neural_arith.layers.functional.common import (
    check_floor,
    check_option,
    clip_through,
    linear,
    mix,
    offset,
    working_dtype,
)
from neural_arith.layers.functional.division import nmru, nru, relevance
from neural_arith.layers.functional.power import (
    AT_ZERO,
    NEGATIVE,
    PRECISION,
    gated_polar,
    lifted_polar,
    log_polar,
    npu,
    power_unit,
)
from neural_arith.layers.functional.selection import floored_product, nac_weight, nmu, snmu

__all__ = [
    "AT_ZERO",
    "NEGATIVE",
    "PRECISION",
    "check_floor",
    "check_option",
    "clip_through",
    "floored_product",
    "gated_polar",
    "lifted_polar",
    "linear",
    "log_polar",
    "mix",
    "nac_weight",
    "nmru",
    "nmu",
    "npu",
    "nru",
    "offset",
    "power_unit",
    "relevance",
    "snmu",
    "working_dtype",
]
