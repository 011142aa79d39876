"""Units made to divide: NRU, NMRU and the modified Real NPU.

From Mistry, Farrahi, Hare: Exploring the learning mechanisms of neural division modules, TMLR 2022
(https://openreview.net/forum?id=HjelcW6wio; first as https://arxiv.org/abs/2110.05177) and its code.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import sympy as sp
import torch
from torch import Tensor

from neural_arith.layers import functional
from neural_arith.layers.additive import distance_to_signs, nau_bound
from neural_arith.layers.base import MatrixLayer, redraw
from neural_arith.layers.multiplicative import distance_to_selection
from neural_arith.layers.power import PowerLayer, discrete_penalty
from neural_arith.layers.symbolic import number

if TYPE_CHECKING:
    pass

__all__ = ["NMRU", "NRU", "ModifiedRealNPU"]

SIGN = ("joint", "separate")


class NRU(MatrixLayer):
    """Neural reciprocal unit, ``prod_i (s_oi sign(x_i) |x_i|^w_oi + 1 - s_oi)`` with w in [-1, 1].

    Multiplies by inputs of weight 1, divides by those of weight -1, ignores those of weight 0. In ``eval()``
    mode ``s = |w|``; in training, as in the authors' code, ``s = tanh(1000 w)^2``, which has a slope at 0 and
    is 1 for all but the smallest weights. ``to_sympy`` writes the formula of the mode the unit is in; for
    weights of -1, 0 and 1 both are the same. A zero input to a negative power is inf. Weights count as clipped
    to [-1, 1] while their gradient passes the clip; ``project_()`` clamps the parameters themselves. The forward
    pass forms ``(*batch, O, I)`` factors.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        sign: ``"joint"``: as above, the authors' choice; ``"separate"``: their variant, in which signs multiply
            apart from magnitudes, as ``prod_i sign(x_i)^round(w_oi)`` (zero counts as positive).
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Example:
        >>> layer = NRU.from_weights([[1.0, -1.0, 0.0]])
        >>> layer.to_sympy(sp.symbols("x y z"))
        [x/y]
    """

    ranges = MappingProxyType({"weight": (-1.0, 1.0)})

    def __init__(self, in_features: int, out_features: int, *, sign: str = "joint", **options: Any) -> None:
        self.sign = functional.check_option("sign", sign, SIGN)
        super().__init__(in_features, out_features, **options)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights as the NAU does, from U(-r, r) with r = min(1/2, sqrt(6 / (I + O)))."""
        redraw(self.weight, nau_bound(self.in_features, self.out_features), generator)

    def forward(self, x: Tensor) -> Tensor:
        """Products and quotients of selected inputs: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        weight = self.effective_weight()
        return functional.nru(
            x, weight, functional.relevance(weight, self.training), sign=self.sign, aligned=weight.dim() > 2
        )

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Products of the factors; plain ``x`` and ``1/x`` where a weight is 1 or -1."""
        inputs = self._check_symbols(inputs)
        weight = self.effective_weight()
        shares = functional.relevance(weight, self.training)
        return [
            sp.Mul(*(self._factor(x, w, s) for x, w, s in zip(inputs, *row, strict=True) if w))
            for row in zip(weight.tolist(), shares.tolist(), strict=True)
        ]

    def penalty(self) -> Tensor:
        """Mean distance of the weights to -1, 0 or 1, the NAU's and the authors' regulariser."""
        return distance_to_signs(self.effective_weight())

    def extra_repr(self) -> str:
        """Sizes and options."""
        return super().extra_repr() + f", sign={self.sign!r}"

    def _factor(self, x: sp.Expr, w: float, s: float) -> sp.Expr:
        if s == 1 and abs(w) == 1:
            return x ** number(w)
        flip = sp.S.One if self.sign == "separate" else sp.sign(x)
        factor = number(s) * flip * sp.Abs(x) ** number(w) + number(1 - s)
        return factor * sp.Piecewise((-1, x < 0), (1, True)) if self.sign == "separate" and round(w) else factor


class NMRU(MatrixLayer):
    """Neural multiplicative reciprocal unit: an NMU over inputs and reciprocals, with the sign of the power unit.

    ``prod_i (v_oi |x_i| + 1 - v_oi) (u_oi / |x_i| + 1 - u_oi) * cos(pi sum_i (v_oi + u_oi) [x_i < 0])`` with
    weights v and u in [0, 1], held as one matrix ``[v, u]``. The authors add 1.2e-7 to x before the reciprocal
    in training; here nothing is added, and dividing by zero gives inf. Weights count as clipped to [0, 1] while
    their gradient passes the clip; ``project_()`` clamps the parameters themselves. The authors clip the norm
    of the gradients of a whole network to 1.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Example:
        >>> layer = NMRU.from_weights([[1.0, 0.0, 0.0, 1.0]])
        >>> layer.to_sympy(sp.symbols("x y"))
        [x/y]
    """

    ranges = MappingProxyType({"weight": (0.0, 1.0)})
    per_input = 2

    def columns_of(self, index: int) -> list[int]:
        """The columns of input ``index`` and of its reciprocal."""
        return [index, self.in_features + index]

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights as the NMU does, from U(1/4, 3/4)."""
        redraw(self.weight, 0.25, generator, centre=0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Products and quotients of selected inputs: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        weight = self.effective_weight()
        return functional.nmru(x, weight, aligned=weight.dim() > 2)

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Products of the factors; plain ``x`` and ``1/x`` where the weights of an input are 0 and 1."""
        inputs, size = self._check_symbols(inputs), self.in_features
        return [_quotient(inputs, row[:size], row[size:]) for row in self.effective_weight().tolist()]

    def penalty(self) -> Tensor:
        """Mean of ``min(|w|, |1 - w|)``, the NMU's and the authors' regulariser."""
        return distance_to_selection(self.effective_weight())


class ModifiedRealNPU(PowerLayer):
    """Modified Real NPU: a power unit drawn to exponents of -1 and 1 and gates of 0 and 1.

    A ``RealNPU`` with the changes of the division paper: exponents start as the NAU's weights, count as clipped
    to [-1, 1] (their gradient passes), are clamped there with the gates by ``project_()``, and ``penalty`` draws
    to discrete values. An input is left out by its gate, for all outputs at once. See ``PowerLayer`` for the
    options; without the epsilon of the authors.

    Example:
        >>> layer = ModifiedRealNPU.from_weights([[1.0, -1.0]])
        >>> layer.to_sympy(sp.symbols("x y"))
        [x/y]
    """

    complex_weights = False
    gated = True
    clipped = True

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw exponents from U(-r, r) with r = min(1/2, sqrt(6 / (I + O))); gates become 1/2."""
        super().reset_parameters(generator)
        redraw(self.wr, nau_bound(self.in_features, self.out_features), generator)

    def penalty(self) -> Tensor:
        """``mean |1 - |w|| + mean min(|g|, |1 - g|)``, zero for exponents of -1 and 1 and gates of 0 and 1."""
        return discrete_penalty(self)

    def size_penalty(self) -> Tensor:
        """Sum of the sizes of exponents and gates (L1), which the authors add with a factor of 1e-9 to 1e-7."""
        return super().penalty()


def _quotient(inputs: Sequence[sp.Expr], times: Sequence[float], over: Sequence[float]) -> sp.Expr:
    product, angle = sp.S.One, sp.S.Zero
    for x, v, u in zip(inputs, times, over, strict=True):
        if v in (0, 1) and u in (0, 1):
            product *= x ** number(v - u)
            continue
        size = sp.Abs(x)
        product *= (number(v) * size + number(1 - v)) * (number(u) / size + number(1 - u))
        angle += number(v + u) * sp.pi * sp.Piecewise((sp.S.One, x < 0), (sp.S.Zero, True))
    return product * sp.cos(angle)
