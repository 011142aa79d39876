"""Units that choose between adding and multiplying by a gate: NALU, G-NALU, INALU, gated NAU/NMU.

Baselines of the literature. The choice of the gate is close to random (Madsen & Johansen 2020, section 4.2):
for new work stack a NAU and a power unit instead. All but the last keep the floor under ``|x|`` of their
papers, 1e-7, as ``max(|x|, floor)``: exact above it. Their weights never become exactly 0, so without a floor a
zero input would silence every product.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import sympy as sp
import torch
from torch import Tensor, nn

from neural_arith.layers import functional
from neural_arith.layers.additive import distance_to_signs, nau_bound
from neural_arith.layers.base import Layer, glorot_bound, redraw, redraw_normal
from neural_arith.layers.multiplicative import distance_to_selection
from neural_arith.layers.symbolic import floored_product, number, selected_product, weighted_sum

__all__ = ["GNALU", "INALU", "NALU", "GatedLayer", "GatedNAUNMU"]


class GatedLayer(Layer):
    """What the units share that add and multiply and mix both by a logistic gate. Use one of its subclasses."""

    takes_population = True

    rate: ClassVar[float] = 1.0
    """Logarithm of the base of the logistic."""

    weights: str = "separate"
    gate_weight: Tensor | None
    gate_bias: Tensor

    @abstractmethod
    def effective_multiply(self) -> Tensor:
        """The weights of the multiplying path as the formula uses them, masked, ``(O, I)``."""

    @abstractmethod
    def _multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        """The multiplying path."""

    @abstractmethod
    def _product(self, inputs: Sequence[sp.Expr], weights: Sequence[float]) -> sp.Expr:
        """One output of the multiplying path as an expression."""

    def effective_gate(self) -> Tensor:
        """G, masked, ``(O, I)``; zeros if the gate is free."""
        if self.gate_weight is None:
            return torch.zeros_like(self.effective_weight())
        return self._live("gate_weight", self.gate_weight)

    def forward(self, x: Tensor) -> Tensor:
        """Gated sum of both paths: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        weight = self.effective_weight()
        aligned = weight.dim() > 2
        added = functional.linear(x, weight, aligned)
        multiplied = self._multiply(x, weight if self.weights == "shared" else self.effective_multiply())
        score = functional.offset(self.gate_bias, x)
        if self.gate_weight is not None:
            score = functional.linear(x, self.effective_gate(), aligned) + score
        return functional.mix(torch.sigmoid(self.rate * score), added, multiplied)

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """The gated sum, with a logistic of the inputs as gate."""
        inputs = self._check_symbols(inputs)
        gates, biases = self.rate * self.effective_gate(), self.rate * self.gate_bias
        outputs = []
        for added, multiplied, gate, bias in zip(
            *(m.tolist() for m in (self.effective_weight(), self.effective_multiply(), gates, biases)), strict=True
        ):
            share = 1 / (1 + sp.exp(-weighted_sum(inputs, gate) - number(bias)))
            outputs.append(share * weighted_sum(inputs, added) + (1 - share) * self._product(inputs, multiplied))
        return outputs

    def complexity(self) -> int:
        """Number of weights that are not zero in sums, products and gates, and one gate offset per output."""
        matrices = (self.effective_weight(), self.effective_multiply(), self.effective_gate())
        return sum(int(torch.count_nonzero(m)) for m in matrices) + self.out_features

    def _add_gate(self, gate: str, like: Tensor) -> None:
        """Register the gate's parameters, shaped and typed as the weights."""
        self.gate = functional.check_option("gate", gate, ("input", "free"))
        self.register_parameter("gate_weight", nn.Parameter(torch.empty_like(like)) if gate == "input" else None)
        if self.gate_weight is not None:
            self._new_mask("gate_weight", self.gate_weight)
        self.gate_bias = nn.Parameter(torch.empty_like(like[:, 0]))

    def _gate_penalty(self) -> Tensor:
        """``sum g^2 (1 - g)^2`` for a free gate, which Madsen & Johansen's code offers; else 0."""
        if self.gate_weight is not None:
            return torch.zeros_like(self.gate_bias[..., 0])
        gate = torch.sigmoid(self.rate * self.gate_bias)
        return (gate * (1 - gate)).square().sum(-1)


class NALU(GatedLayer):
    """Neural arithmetic logic unit, ``g * a + (1 - g) * m`` (Trask et al., NeurIPS 2018, arXiv 1808.00508).

    ``a = W x`` adds as a NAC does, ``m = exp(W log max(|x|, floor))`` multiplies magnitudes (its output is
    never negative), the gate is ``g = sigmoid(G x + b)``.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        weights: ``"shared"``: both paths use one W, as in the paper; ``"separate"``: each has its own.
        gate: ``"input"``: the gate depends on the input, as in the paper; ``"free"``: it is ``sigmoid(b)``.
            The free
            gate with separate weights is what re-implementations found to work.
        floor: lower bound of ``|x|`` in the logarithm, positive.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import neural_arith as na
        >>> layer = na.NALU(2, 1, gate="free")
        >>> _ = nn.init.constant_(layer.w_hat, 20)
        >>> _ = nn.init.constant_(layer.m_hat, 20)
        >>> _ = nn.init.constant_(layer.gate_bias, -20)
        >>> round(layer(torch.tensor([2.0, 3.0])).item(), 4)  # the gate is shut to the sum
        6.0
    """

    w_hat: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weights: str = "shared",
        gate: str = "input",
        floor: float = 1e-7,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.weights = functional.check_option("weights", weights, ("shared", "separate"))
        self.floor = functional.check_floor(floor)
        _add_nac(self, "", dtype, device)
        if weights == "separate":
            _add_nac(self, "_multiply", dtype, device)
        self._add_gate(gate, self.w_hat)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw all matrices from the Glorot distribution; the gate's offset becomes 0."""
        bound = glorot_bound(self.in_features, self.out_features)
        for name, parameter in self.named_parameters():
            if name == "gate_bias":
                with torch.no_grad():
                    parameter.zero_()
            else:
                redraw(parameter, bound, generator)

    def effective_weight(self) -> Tensor:
        """W of the adding path, masked, ``(O, I)``."""
        return _nac(self, "", self.rate)

    def effective_multiply(self) -> Tensor:
        """W of the multiplying path, masked, ``(O, I)``; the same unless the weights are separate."""
        return _nac(self, "" if self.weights == "shared" else "_multiply", self.rate)

    def penalty(self) -> Tensor:
        """Mean distance of W to -1, 0 or 1, plus ``sum g^2 (1 - g)^2`` for a free gate."""
        total = distance_to_signs(self.effective_weight()) + self._gate_penalty()
        return total if self.weights == "shared" else total + distance_to_signs(self.effective_multiply())

    def extra_repr(self) -> str:
        """Sizes and options."""
        return super().extra_repr() + f", weights={self.weights!r}, gate={self.gate!r}"

    def _multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.floored_product(x, weight, self.floor, aligned=weight.dim() > 2)

    def _product(self, inputs: Sequence[sp.Expr], weights: Sequence[float]) -> sp.Expr:
        return floored_product(inputs, weights, self.floor)


class GNALU(NALU):
    """Golden ratio NALU: a NALU whose tanh and logistic have the base ``phi = (1 + sqrt(5)) / 2`` instead of e.

    From Rana, Malhi, Främling: Exploring numerical calculations with CalcNet, ICTAI 2019, as the code of Mistry,
    Farrahi, Hare: A primer for neural arithmetic logic modules, JMLR 2022, has it: ``sigmoid = 1 / (1 +
    phi^-x)``, ``tanh = (phi^2x - 1) / (phi^2x + 1)``, for the weights and the gate. That is a NALU whose raw
    parameters count ``log phi = 0.48`` times; the multiplying path, written in base phi, is the same in any.
    See ``NALU`` for the options.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import neural_arith as na
        >>> layer = na.GNALU(2, 1, gate="free")
        >>> _ = nn.init.constant_(layer.w_hat, 40)
        >>> _ = nn.init.constant_(layer.m_hat, 40)
        >>> _ = nn.init.constant_(layer.gate_bias, 40)
        >>> round(layer(torch.tensor([2.0, 3.0])).item(), 4)  # the gate lets the sum through
        5.0
    """

    rate = math.log((1 + math.sqrt(5)) / 2)


class GatedNAUNMU(GatedLayer):
    """Gated NAU/NMU, ``g * a + (1 - g) * m``: a NAU adds, a NMU multiplies, ``g = sigmoid(G x + b)``.

    A NALU with the units of Madsen & Johansen (ICLR 2020, https://arxiv.org/abs/2001.05016, section 4.2), who
    show with it that the choice of the gate stays close to random with better paths too. Weights count as
    clipped to [-1, 1] and [0, 1] while their gradient passes the clip, and ``project_()`` clamps the parameters
    themselves. The authors' gate has no offset b; here it starts at 0.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        gate: ``"input"``: the gate depends on the input, as in the paper; ``"free"``: it is ``sigmoid(b)``.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import neural_arith as na
        >>> layer = na.GatedNAUNMU(2, 1, gate="free")
        >>> _ = nn.init.constant_(layer.weight, 1)
        >>> _ = nn.init.constant_(layer.multiply, 1)
        >>> _ = nn.init.constant_(layer.gate_bias, 0)
        >>> round(layer(torch.tensor([2.0, 3.0])).item(), 4)  # half the sum and half the product
        5.5
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        gate: str = "input",
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.ranges = {"weight": (-1.0, 1.0), "multiply": (0.0, 1.0)}
        self.weight = nn.Parameter(torch.empty(out_features, in_features, dtype=dtype, device=device))
        self.multiply = nn.Parameter(torch.empty_like(self.weight))
        self._new_mask("weight", self.weight)
        self._new_mask("multiply", self.multiply)
        self._add_gate(gate, self.weight)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights as NAU and NMU do, G from the Glorot distribution; the gate's offset becomes 0."""
        redraw(self.weight, nau_bound(self.in_features, self.out_features), generator)
        redraw(self.multiply, 0.25, generator, centre=0.5)
        if self.gate_weight is not None:
            redraw(self.get_parameter("gate_weight"), glorot_bound(self.in_features, self.out_features), generator)
        with torch.no_grad():
            self.gate_bias.zero_()

    def effective_weight(self) -> Tensor:
        """Weights of the NAU, masked and within [-1, 1], ``(O, I)``."""
        return functional.clip_through(self._live("weight", self.weight), -1.0, 1.0)

    def effective_multiply(self) -> Tensor:
        """Weights of the NMU, masked and within [0, 1], ``(O, I)``."""
        return functional.clip_through(self._live("multiply", self.multiply), 0.0, 1.0)

    def penalty(self) -> Tensor:
        """The regularisers of NAU and NMU, plus ``sum g^2 (1 - g)^2`` for a free gate."""
        weights = distance_to_signs(self.effective_weight()) + distance_to_selection(self.effective_multiply())
        return weights + self._gate_penalty()

    def extra_repr(self) -> str:
        """Sizes and options."""
        return super().extra_repr() + f", gate={self.gate!r}"

    def _multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.nmu(x, weight, aligned=weight.dim() > 2)

    def _product(self, inputs: Sequence[sp.Expr], weights: Sequence[float]) -> sp.Expr:
        return selected_product(inputs, weights)


class INALU(Layer):
    """Improved NALU, ``g * a + (1 - g) * m * s`` (Schlör, Ring, Hotho 2020, https://arxiv.org/abs/2003.07629).

    ``a = W_a x``; ``m = exp(min(W_m log max(|x|, floor), cap))``; the sign ``s_o = prod_i (sign(x_i) |w_oi| +
    1 - |w_oi|)`` of the product is formed per output (the authors' code mixes the outputs up); the gate ``g =
    sigmoid(b)`` does not see the input.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        weights: ``"independent"``: each path has its own W, as recommended; ``"shared"``: one for both.
        floor: lower bound of ``|x|`` in the logarithm, positive.
        cap: upper bound of the logarithm of a product.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> import neural_arith as na
        >>> layer = na.INALU(2, 1, weights="shared")
        >>> _ = nn.init.constant_(layer.w_hat, 20)
        >>> _ = nn.init.constant_(layer.m_hat, 20)
        >>> _ = nn.init.constant_(layer.gate_bias, -20)
        >>> round(layer(torch.tensor([-2.0, 3.0])).item(), 4)  # a product with its sign
        -6.0
    """

    w_hat: Tensor
    takes_population = True
    saturation = 20.0

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weights: str = "independent",
        floor: float = 1e-7,
        cap: float = 20.0,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.weights = functional.check_option("weights", weights, ("independent", "shared"))
        self.floor = functional.check_floor(floor)
        self.cap = float(cap)
        _add_nac(self, "", dtype, device)
        if weights == "independent":
            _add_nac(self, "_multiply", dtype, device)
        self.gate_bias = nn.Parameter(torch.empty_like(self.w_hat[:, 0]))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw from normal distributions of standard deviation 0.1 and means 1 (W^), -1 (M^), 0 (gates).

        The initial values of the paper's experiments, found there by a search over 54 settings.
        """
        for name, parameter in self.named_parameters():
            mean = 1.0 if name.startswith("w_hat") else -1.0 if name.startswith("m_hat") else 0.0
            redraw_normal(parameter, mean, 0.1, generator)

    def restart_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw all parameters from U(-2, 2), as the authors do when training has stalled."""
        for parameter in self.parameters():
            redraw(parameter, 2.0, generator)

    def effective_weight(self) -> Tensor:
        """W of the adding path, masked, ``(O, I)``."""
        return _nac(self, "")

    def effective_multiply(self) -> Tensor:
        """W of the multiplying path, masked, ``(O, I)``; the same unless the weights are independent."""
        return _nac(self, "" if self.weights == "shared" else "_multiply")

    def forward(self, x: Tensor) -> Tensor:
        """Gated sum of both paths: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        weight = self.effective_weight()
        multiply = weight if self.weights == "shared" else self.effective_multiply()
        aligned = weight.dim() > 2
        product = functional.floored_product(x, multiply, self.floor, cap=self.cap, aligned=aligned)
        product = product * functional.nmu(torch.sign(x), multiply.abs(), aligned)
        gate = functional.offset(torch.sigmoid(self.gate_bias), x)
        return functional.mix(gate, functional.linear(x, weight, aligned), product)

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """The gated sum; a product whose logarithm cannot be shown to stay below the cap keeps it."""
        inputs = self._check_symbols(inputs)
        outputs = []
        for added, multiplied, share in zip(
            self.effective_weight().tolist(),
            self.effective_multiply().tolist(),
            torch.sigmoid(self.gate_bias).tolist(),
            strict=True,
        ):
            sign = selected_product([sp.sign(x) for x in inputs], [abs(w) for w in multiplied])
            product = sp.Min(floored_product(inputs, multiplied, self.floor), sp.exp(number(self.cap)))
            outputs.append(number(share) * weighted_sum(inputs, added) + number(1 - share) * product * sign)
        return outputs

    def penalty(self) -> Tensor:
        """The authors' regulariser, mean of ``max(20 - |v|, 0) / 20`` over each raw parameter array, summed.

        It drives the raw parameters to where tanh and sigmoid are saturated. Masked weights do not count.
        """
        total = torch.zeros_like(self.gate_bias[..., 0])
        for name, parameter in self.named_parameters():
            shortfall = (self.saturation - parameter.abs()).clamp(min=0) / self.saturation
            if name != "gate_bias":
                shortfall = self._live("multiply" if name.endswith("_multiply") else "weight", shortfall)
            total = total + shortfall.mean((-2, -1) if name != "gate_bias" else -1)
        return total

    def complexity(self) -> int:
        """Number of weights that are not zero in sums and products, and one gate per output."""
        matrices = (self.effective_weight(), self.effective_multiply())
        return sum(int(torch.count_nonzero(m)) for m in matrices) + self.out_features

    def extra_repr(self) -> str:
        """Sizes and options."""
        return super().extra_repr() + f", weights={self.weights!r}"


def _add_nac(layer: Layer, suffix: str, dtype: torch.dtype | None, device: torch.device | str | None) -> None:
    """Register ``w_hat`` and ``m_hat`` (with a suffix) and the mask of their product."""
    shape = (layer.out_features, layer.in_features)
    for name in ("w_hat", "m_hat"):
        layer.register_parameter(name + suffix, nn.Parameter(torch.empty(shape, dtype=dtype, device=device)))
    layer._new_mask("multiply" if suffix else "weight", layer.get_parameter("w_hat" + suffix))


def _nac(layer: Layer, suffix: str, rate: float = 1.0) -> Tensor:
    weight = functional.nac_weight(getattr(layer, "w_hat" + suffix), getattr(layer, "m_hat" + suffix), rate)
    return layer._live("multiply" if suffix else "weight", weight)
