"""The neural accumulator NAC, and its relatives that multiply magnitudes in log space: NAC-mul, -sigma and -nmu.

NAC adds (Trask et al., NeurIPS 2018). The others, baselines of the literature too, are ``y = exp(W log max(|x|,
floor))`` and differ in what W can be (Madsen & Johansen: Neural arithmetic units, ICLR 2020,
https://arxiv.org/abs/2001.05016, section 4.1 and its code). Their outputs are never negative. The authors add 1e-7 to
``|x|``; here that is a floor under it, exact above. For exact powers, zeros and signs use a power unit.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import sympy as sp
import torch
from torch import Tensor, nn

from neural_arith.layers import functional
from neural_arith.layers.additive import distance_to_signs
from neural_arith.layers.base import Layer, glorot_bound, redraw, redraw_normal
from neural_arith.layers.multiplicative import distance_to_selection
from neural_arith.layers.symbolic import floored_product, weighted_sum

__all__ = ["NAC", "NACNMU", "LogLayer", "NACMul", "NACSigma"]


class NAC(Layer):
    """Neural accumulator, ``y = W x`` with ``W = tanh(W^) * sigmoid(M^)`` (Trask et al., NeurIPS 2018).

    No weight reaches -1 or 1 exactly, and no scale factor can be held; see ``NAU`` for both. Kept as the
    baseline of the literature (https://arxiv.org/abs/1808.00508).

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import neural_arith as na
        >>> layer = na.NAC(2, 1)
        >>> _ = nn.init.constant_(layer.w_hat, 20)
        >>> _ = nn.init.constant_(layer.m_hat, 20)
        >>> round(layer(torch.tensor([2.0, 3.0])).item(), 4)  # weights of nearly 1: a sum
        5.0
    """

    takes_population = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.w_hat = nn.Parameter(torch.empty(out_features, in_features, dtype=dtype, device=device))
        self.m_hat = nn.Parameter(torch.empty_like(self.w_hat))
        self._new_mask("weight", self.w_hat)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw both matrices from the Glorot distribution."""
        bound = glorot_bound(self.in_features, self.out_features)
        redraw(self.w_hat, bound, generator)
        redraw(self.m_hat, bound, generator)

    def effective_weight(self) -> Tensor:
        """``tanh(W^) * sigmoid(M^)``, masked, ``(O, I)``; formed anew at every call."""
        return self._live("weight", functional.nac_weight(self.w_hat, self.m_hat))

    def forward(self, x: Tensor) -> Tensor:
        """``W x``: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        weight = self.effective_weight()
        return functional.linear(x, weight, aligned=weight.dim() > 2)

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Weighted sums of ``inputs``."""
        inputs = self._check_symbols(inputs)
        return [weighted_sum(inputs, row) for row in self.effective_weight().tolist()]

    def penalty(self) -> Tensor:
        """Mean distance of W to -1, 0 or 1. The authors used none; this is the NAU's."""
        return distance_to_signs(self.effective_weight())


class LogLayer(Layer):
    """What the units in log space share. Use one of its subclasses.

    Args:
        in_features: number of inputs I.
        out_features: number of products O.
        floor: lower bound of ``|x|`` in the logarithm, positive.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Raises:
        OptionError: the floor is not positive.
    """

    takes_population = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        floor: float = 1e-7,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.floor = functional.check_floor(floor)
        self._register(torch.empty(out_features, in_features, dtype=dtype, device=device))
        self.reset_parameters(generator)

    @abstractmethod
    def _register(self, values: Tensor) -> None:
        """Make the parameters, of the shape and type of ``values``, and the mask ``weight``."""

    def forward(self, x: Tensor) -> Tensor:
        """Products of powers of magnitudes: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        weight = self.effective_weight()
        return functional.floored_product(x, weight, self.floor, aligned=weight.dim() > 2)

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Products of powers of ``Max(Abs(x), floor)``."""
        inputs = self._check_symbols(inputs)
        return [floored_product(inputs, row, self.floor) for row in self.effective_weight().tolist()]


class NACMul(LogLayer):
    """NAC in log space, ``W = tanh(W^) * sigmoid(M^)``: exponents between -1 and 1, never reached.

    The multiplying path of the NALU alone (Trask et al., NeurIPS 2018), NAC* in Madsen & Johansen 2020, MNAC
    in Mistry, Farrahi, Hare: A primer for neural arithmetic logic modules, JMLR 2022. See ``LogLayer`` for the options.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import neural_arith as na
        >>> layer = na.NACMul(2, 1)
        >>> _ = nn.init.constant_(layer.w_hat, 20)
        >>> _ = nn.init.constant_(layer.m_hat, 20)
        >>> round(layer(torch.tensor([2.0, 3.0])).item(), 4)  # exponents of nearly 1: a product
        6.0
    """

    w_hat: Tensor
    m_hat: Tensor

    def _register(self, values: Tensor) -> None:
        self.w_hat = nn.Parameter(values)
        self.m_hat = nn.Parameter(torch.empty_like(values))
        self._new_mask("weight", values)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw both matrices from the Glorot distribution, as in the NAC."""
        for parameter in (self.w_hat, self.m_hat):
            redraw(parameter, glorot_bound(self.in_features, self.out_features), generator)

    def effective_weight(self) -> Tensor:
        """``tanh(W^) * sigmoid(M^)``, masked, ``(O, I)``."""
        return self._live("weight", functional.nac_weight(self.w_hat, self.m_hat))

    def penalty(self) -> Tensor:
        """Mean distance of W to -1, 0 or 1. The authors used none; this is the NAU's."""
        return distance_to_signs(self.effective_weight())


class NACSigma(LogLayer):
    """NAC-sigma, exponents ``W = sigmoid(W^)`` between 0 and 1: products without division.

    From Madsen & Johansen 2020, where it learns every product with two hidden units and none with more. See
    ``LogLayer`` for the options.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import neural_arith as na
        >>> layer = na.NACSigma(2, 1)
        >>> _ = nn.init.constant_(layer.w_hat, 20)
        >>> round(layer(torch.tensor([2.0, 3.0])).item(), 4)  # exponents of nearly 1: a product
        6.0
    """

    w_hat: Tensor

    def _register(self, values: Tensor) -> None:
        self.w_hat = nn.Parameter(values)
        self._new_mask("weight", values)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw from a normal distribution of the Glorot variance, ``2 / (I + O)``, as the authors' code."""
        redraw_normal(self.w_hat, 0.0, (2 / (self.in_features + self.out_features)) ** 0.5, generator)

    def effective_weight(self) -> Tensor:
        """``sigmoid(W^)``, masked, ``(O, I)``."""
        return self._live("weight", torch.sigmoid(self.w_hat))

    def penalty(self) -> Tensor:
        """Mean distance of W to 0 or 1. The authors used none; this is the NMU's."""
        return distance_to_selection(self.effective_weight())


class NACNMU(LogLayer):
    """NAC-nmu, exponents of the NMU: W itself, clipped to [0, 1], its initial values and its regulariser.

    From Madsen & Johansen 2020: the NMU's weights in log space. Their gradient passes the clip unchanged, and
    ``project_()`` clamps the parameters themselves, which the authors do after each step. See ``LogLayer`` for
    the options.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import neural_arith as na
        >>> layer = na.NACNMU(2, 1)
        >>> _ = nn.init.constant_(layer.weight, 1)
        >>> round(layer(torch.tensor([2.0, 3.0])).item(), 4)
        6.0
    """

    weight: Tensor

    def _register(self, values: Tensor) -> None:
        self.ranges = {"weight": (0.0, 1.0)}
        self.weight = nn.Parameter(values)
        self._new_mask("weight", values)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights from U(1/4, 3/4)."""
        redraw(self.weight, 0.25, generator, centre=0.5)

    def effective_weight(self) -> Tensor:
        """The exponents, masked and within [0, 1], ``(O, I)``."""
        return functional.clip_through(self._live("weight", self.weight), 0.0, 1.0)

    def penalty(self) -> Tensor:
        """Mean of ``min(|w|, |1 - w|)``, the NMU's and the authors' regulariser."""
        return distance_to_selection(self.effective_weight())
