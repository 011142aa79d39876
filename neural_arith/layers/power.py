"""Units that multiply by adding logarithms: the neural power unit and its relatives.

One formula (``functional.npu``), five choices of what is free: real or complex exponents, with or without a
gate per input (Heim, Pevný, Šmídl: Neural Power Units, NeurIPS 2020, https://arxiv.org/abs/2006.01681), and
the lifted unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import sympy as sp
import torch
from torch import Tensor, nn

from neural_arith.errors import DataError, OptionError
from neural_arith.layers import functional
from neural_arith.layers.algebra import closed_form
from neural_arith.layers.algebra.closed_form import ClosedForm
from neural_arith.layers.base import Layer, as_matrix, as_numbers, draw_uniform, fill, glorot_bound, redraw
from neural_arith.layers.symbolic import power_product, weighted_sum

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["NPU", "LiftedNPU", "NaiveNPU", "PowerLayer", "RealNPU", "RealNaiveNPU", "discrete_penalty"]


class PowerLayer(Layer):
    """What the power units share. Use one of its subclasses.

    Args:
        in_features: number of inputs I.
        out_features: number of products O.
        negative: what a negative input means. ``"real"``: the real part of the principal power, as in the
            papers (the
            square root of -4 counts as 0); ``"error"``: a DomainError unless all its powers are integers;
            ``"positive"``: a DomainError always. With the last two, formulas come out without ``Abs``.
        at_zero: zero to a negative power, ``"inf"`` or ``"error"`` for a DomainError. Zero is otherwise
            exact, without
            an epsilon: 0 for positive exponents, 1 for exponent 0 or a closed gate.
        precision: ``"double"`` forms logarithms in float64 inside a float32 layer, which makes its powers
            right to the
            last digit or so; ``"same"`` stays in the layer's type.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Attributes:
        wr: real exponents, ``(O, columns)``.
        wi: imaginary exponents, the same shape, or None.
        gate: relevance gates, ``(I,)``, or None.
    """

    takes_population = True
    complex_weights: ClassVar[bool]
    gated: ClassVar[bool]
    lifted: ClassVar[bool] = False
    clipped: ClassVar[bool] = False

    wi: Tensor | None
    gate: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        negative: str = "real",
        at_zero: str = "inf",
        precision: str = "double",
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.negative = functional.check_option("negative", negative, functional.NEGATIVE)
        self.at_zero = functional.check_option("at_zero", at_zero, functional.AT_ZERO)
        self.precision = functional.check_option("precision", precision, functional.PRECISION)
        columns = 2 * in_features + 1 if self.lifted else in_features
        self.wr = nn.Parameter(torch.empty(out_features, columns, dtype=dtype, device=device))
        self._new_mask("wr", self.wr)
        self.register_parameter("wi", nn.Parameter(torch.empty_like(self.wr)) if self.complex_weights else None)
        if self.wi is not None:
            self._new_mask("wi", self.wi)
            if self.lifted:
                self.masks["wi"][:, :in_features] = False
        self.register_parameter("gate", nn.Parameter(torch.empty_like(self.wr[0])) if self.gated else None)
        if self.gate is not None:
            self._new_mask("gate", self.gate)
            self.ranges = {"gate": (0.0, 1.0)}
        if self.clipped:
            self.ranges = {"wr": (-1.0, 1.0), **self.ranges}
        self.reset_parameters(generator)

    @classmethod
    def from_weights(
        cls,
        wr: Tensor | ArrayLike,
        wi: Tensor | ArrayLike | None = None,
        gate: Tensor | ArrayLike | None = None,
        *,
        sparse: bool = True,
        negative: str = "real",
        at_zero: str = "inf",
        precision: str = "double",
    ) -> Self:
        """A layer that holds exactly these numbers.

        Args:
            wr: real exponents, ``(O, columns)``; numbers that are not tensors become float64.
            wi: imaginary exponents, the same shape; all zero if None.
            gate: gates, ``(I,)``; all open (1) if None.
            sparse: whether zero exponents are masked, so that training keeps the structure.
            negative: see the class.
            at_zero: see the class.
            precision: see the class.

        Raises:
            DataError: shapes do not fit.
            OptionError: imaginary exponents or gates for a unit that has none.
        """
        real = as_matrix("wr", wr)
        if wi is not None and not cls.complex_weights:
            raise OptionError(f"{cls.__name__} has no imaginary exponents; use NPU, NaiveNPU or LiftedNPU")
        if gate is not None and not cls.gated:
            raise OptionError(f"{cls.__name__} has no gates; use NPU or RealNPU")
        if cls.lifted and not real.shape[1] % 2:
            raise DataError(f"wr must have 2 * in_features + 1 columns, got {real.shape[1]}")
        layer = cls(
            real.shape[1] // 2 if cls.lifted else real.shape[1],
            real.shape[0],
            negative=negative,
            at_zero=at_zero,
            precision=precision,
            dtype=real.dtype,
            device=real.device,
        )
        values = {"wr": real}
        if cls.complex_weights:
            values["wi"] = torch.zeros_like(real) if wi is None else as_matrix("wi", wi).to(real)
        if any(value.shape != real.shape for value in values.values()):
            raise DataError(f"wi must have the shape of wr, {tuple(real.shape)}, got {tuple(values['wi'].shape)}")
        fill(layer, values, sparse)
        if cls.gated:
            gates = torch.ones_like(real[0]) if gate is None else as_numbers(gate).to(real)
            if gates.shape != real[0].shape:
                raise DataError(f"gate must have shape ({real.shape[1]},), got {tuple(gates.shape)}")
            fill(layer, {"gate": gates}, sparse=False)
        return layer

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw real exponents from the Glorot distribution; imaginary ones become 0, gates 1/2."""
        redraw(self.wr, glorot_bound(self.in_features, self.out_features), generator)
        with torch.no_grad():
            if self.wi is not None:
                self.wi.zero_()
            if self.gate is not None:
                self.gate.fill_(0.5)

    def effective_weight(self) -> Tensor:
        """The real exponents, masked (and, in a clipped unit, within [-1, 1]), ``(O, columns)``."""
        weight = self._live("wr", self.wr)
        return functional.clip_through(weight, -1.0, 1.0) if self.clipped else weight

    def effective_imaginary(self) -> Tensor | None:
        """The imaginary exponents, masked, ``(O, columns)``; None if the unit has none."""
        return None if self.wi is None else self._live("wi", self.wi)

    def effective_gate(self) -> Tensor | None:
        """The gates, masked and clipped to [0, 1], ``(I,)``; None if the unit has none."""
        return None if self.gate is None else functional.clip_through(self._live("gate", self.gate), 0.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Products of powers: ``(*batch, I)`` to ``(*batch, O)``.

        Raises:
            DataError: ``x`` has the wrong number of inputs.
            DomainError: as asked for by ``negative`` and ``at_zero``.
        """
        self._check(x)
        weight = self.effective_weight()
        return functional.npu(
            x,
            weight,
            self.effective_imaginary(),
            self.effective_gate(),
            lifted=self.lifted,
            negative=self.negative,
            at_zero=self.at_zero,
            precision=self.precision,
            aligned=weight.dim() > 2,
        )

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Products of powers, ``x**n`` where n is an integer or x is known to be positive."""
        inputs = self._check_symbols(inputs)
        real = self.effective_weight().tolist()
        imaginary = _rows(self.effective_imaginary(), real)
        gate = self.effective_gate()
        gates = [1.0] * self.in_features if gate is None else gate.tolist()
        positive = self.negative != "real"
        size, lifts = self.in_features, [*inputs, sp.S.One] if self.lifted else []
        return [
            power_product(
                inputs,
                a[:size],
                b[:size],
                gates,
                positive=positive,
                exponent=weighted_sum(lifts, a[size:]),
                angle=weighted_sum(lifts, b[size:]),
            )
            for a, b in zip(real, imaginary, strict=True)
        ]

    def penalty(self) -> Tensor:
        """Sum of the sizes of all live exponents and gates, the authors' only regulariser (L1).

        The phase of a lifted unit is left out: zero is no simpler than any other.
        """
        total = self.effective_weight().abs().sum((-2, -1))
        imaginary, gate = self.effective_imaginary(), self.effective_gate()
        if imaginary is not None:
            total = total + (imaginary[..., :-1] if self.lifted else imaginary).abs().sum((-2, -1))
        return total if gate is None else total + gate.abs().sum(-1)

    def complexity(self) -> int:
        """Number of exponents that are not zero, and of half-open gates before them."""
        real, imaginary, gate = self.effective_weight(), self.effective_imaginary(), self.effective_gate()
        used = real != 0
        count = used.clone().long() if imaginary is None else used.long() + (imaginary != 0).long()
        if gate is None:
            return int(count.sum())
        count = count * (gate != 0)
        half_open = (gate > 0) & (gate < 1) & (count.sum(0) > 0)
        return int(count.sum() + half_open.sum())

    @torch.no_grad()
    def fit_closed_form(self, x: Tensor, y: Tensor) -> ClosedForm:
        """Set the exponents by regression of ``log|y|`` on ``log|x|``, rounded to simple fractions where these do.

        Simple are multiples of a half, a third, a quarter and a fifth. Imaginary exponents become 0, gates 1 for inputs
        that have an exponent and 0 for the others.

        Args:
            x: inputs, ``(*batch, I)``. With fewer samples than inputs few inputs are made to explain the data.
            y: wanted outputs, ``(*batch, O)``, or ``(*batch)`` for one output.

        Returns:
            The errors with the new weights, and whether they are only rounding: if not, y is no product of real powers
            (with ``negative="real"``: of real parts of principal powers).

        Raises:
            DataError: shapes do not fit, samples are not finite, or all have zeros.
            DomainError: as asked for by ``negative`` and ``at_zero``.
            OptionError: the unit is lifted.

        Example:
            >>> layer, x = RealNPU(2, 1, dtype=torch.float64), torch.rand(9, 2, dtype=torch.float64)
            >>> layer.fit_closed_form(x, x[:, 0] / x[:, 1].sqrt()).exact
            True
            >>> layer.wr.tolist()
            [[1.0, -0.5]]
        """
        if self.lifted:
            raise OptionError("a lifted power unit has no closed form; use a plain one, or fit it by gradient")
        inputs, wanted, tolerance = closed_form.as_data(x, y, self.in_features, self.out_features)

        def predict(exponents: Tensor) -> Tensor:
            return functional.npu(inputs, exponents[None])[:, 0]

        rows = [
            closed_form.power_weights(inputs, column, live, tolerance, predict)
            for live, column in zip(self.masks["wr"], wanted.T, strict=True)
        ]
        self.assign(torch.stack(rows))
        predicted = self(inputs)
        sensitivity = closed_form.power_sensitivity(predicted, inputs, self.effective_weight())
        return closed_form.judge(predicted, wanted, sensitivity, tolerance)

    @torch.no_grad()
    def assign(self, wr: Tensor) -> None:
        """Take over real exponents ``(O, columns)``; imaginary ones become 0, gates 1 where used and 0 elsewhere.

        Masks stay, and what is masked keeps its value.
        """
        self.wr.copy_(torch.where(self.masks["wr"], wr, self.wr))
        if self.wi is not None:
            self.wi[self.masks["wi"]] = 0.0
        if self.gate is not None:
            self.gate.copy_(torch.where(self.masks["gate"], (wr != 0).any(0).to(self.gate.dtype), self.gate))

    def extra_repr(self) -> str:
        """Sizes and the options that are not the default."""
        options = {"negative": "real", "at_zero": "inf", "precision": "double"}
        given = {name: getattr(self, name) for name in options}
        return ", ".join([super().extra_repr(), *(f"{k}={v!r}" for k, v in given.items() if v != options[k])])


class NPU(PowerLayer):
    """Neural power unit: complex exponents and a relevance gate per input.

    Gated inputs are ``r = g |x| + (1 - g)`` with phase ``g pi [x < 0]``; see ``PowerLayer`` for the options.

    Example:
        >>> layer = NPU.from_weights([[1.0, -2.0]])
        >>> layer.to_sympy(sp.symbols("x y"))
        [x/y**2]
    """

    complex_weights = True
    gated = True

    def discrete_penalty(self) -> Tensor:
        """See ``RealNPU.discrete_penalty``."""
        return discrete_penalty(self)


class RealNPU(PowerLayer):
    """Neural power unit with real exponents and a gate per input; see ``PowerLayer`` for the options.

    Examples:
        >>> import sympy as sp
        >>> import neural_arith as na
        >>> layer = na.RealNPU.from_weights([[1.0, -0.5]])
        >>> layer.to_sympy(sp.symbols("x y", positive=True))
        [x/y**0.5]
    """

    complex_weights = False
    gated = True

    def discrete_penalty(self) -> Tensor:
        """Zero when exponents are -1 or 1 and gates 0 or 1: ``mean |1 - |w|| + mean min(|g|, |1 - g|)``.

        From Mistry, Farrahi, Hare: Exploring the learning mechanisms of neural division modules, TMLR 2022 (first
        as arXiv 2110.05177); see ``ModifiedRealNPU`` for their other changes.
        """
        return discrete_penalty(self)


class NaiveNPU(PowerLayer):
    """Neural power unit with complex exponents and no gates; see ``PowerLayer`` for the options.

    Examples:
        >>> import sympy as sp
        >>> import neural_arith as na
        >>> layer = na.NaiveNPU.from_weights([[1.0, -2.0]])
        >>> layer.to_sympy(sp.symbols("x y", positive=True))
        [x/y**2]
    """

    complex_weights = True
    gated = False


class RealNaiveNPU(PowerLayer):
    """Products of real powers, ``prod_i x_i^w_oi``, no gates; see ``PowerLayer`` for the options.

    Examples:
        >>> import sympy as sp
        >>> import neural_arith as na
        >>> layer = na.RealNaiveNPU.from_weights([[2.0, -1.0]])
        >>> layer.to_sympy(sp.symbols("x y", positive=True))
        [x**2/y]
    """

    complex_weights = False
    gated = False


class LiftedNPU(PowerLayer):
    """A power unit of ``x_1..x_I, e^x_1..e^x_I, e``: powers, exponentials, sines and their products.

    In log space the inputs are ``[log|x|, x, 1]``, so nothing overflows on the way, and the complex weights
    mean: real part on ``x_j`` a power, real part on ``e^x_j`` a rate, imaginary part on ``e^x_j`` a
    frequency, imaginary part on ``e`` a phase, real part on ``e`` the log of an amplitude. One unit spans
    ``|x|^a e^(b x + c) cos(w x + phi)``. Weights are ``(O, 2 I + 1)`` in this order. See ``PowerLayer`` for
    the options.

    Imaginary parts on ``x_j`` (oscillations in log x) start masked; ``layer.masks["wi"][:, :I] = True`` frees
    them.

    Example:
        >>> layer = LiftedNPU.from_parts(power=[[1.0]], rate=[[-0.5]])
        >>> layer.to_sympy([sp.Symbol("x")])
        [x*exp(-0.5*x)]
    """

    complex_weights = True
    gated = False
    lifted = True

    @classmethod
    def from_parts(
        cls,
        power: Tensor | ArrayLike,
        rate: Tensor | ArrayLike | None = None,
        frequency: Tensor | ArrayLike | None = None,
        phase: Tensor | ArrayLike | None = None,
        log_amplitude: Tensor | ArrayLike | None = None,
        *,
        sparse: bool = True,
        negative: str = "real",
        at_zero: str = "inf",
        precision: str = "double",
    ) -> Self:
        """A layer from what its weights mean; what is None is zero.

        Args:
            power: powers of the inputs, ``(O, I)``.
            rate: exponential rates, ``(O, I)``.
            frequency: frequencies, in radians per unit of the input, ``(O, I)``.
            phase: phases in radians, ``(O,)``.
            log_amplitude: logarithms of the amplitudes, ``(O,)``.
            sparse: whether zeros are masked, so that training keeps the structure.
            negative: see ``PowerLayer``.
            at_zero: see ``PowerLayer``.
            precision: see ``PowerLayer``.

        Raises:
            DataError: shapes do not fit.
        """
        powers = as_matrix("power", power)

        def part(name: str, values: Tensor | ArrayLike | None, like: Tensor) -> Tensor:
            found = torch.zeros_like(like) if values is None else as_numbers(values).to(like)
            if found.shape != like.shape:
                raise DataError(f"{name} must have shape {tuple(like.shape)}, got {tuple(found.shape)}")
            return found

        real = [
            powers,
            part("rate", rate, powers),
            part("log_amplitude", log_amplitude, powers[:, 0])[:, None],
        ]
        imaginary = [
            torch.zeros_like(powers),
            part("frequency", frequency, powers),
            part("phase", phase, powers[:, 0])[:, None],
        ]
        return cls.from_weights(
            torch.cat(real, 1),
            torch.cat(imaginary, 1),
            sparse=sparse,
            negative=negative,
            at_zero=at_zero,
            precision=precision,
        )

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw powers, rates and frequencies from the Glorot distribution, phases from a full turn.

        Frequencies and phases of zero would have no gradient on positive inputs: the cosine is flat at zero.
        """
        redraw(self.wr, glorot_bound(self.in_features, self.out_features), generator)
        wi = self.get_parameter("wi")
        redraw(wi, glorot_bound(self.in_features, self.out_features), generator)
        turn = draw_uniform((self.out_features,), -math.pi, math.pi, generator=generator, dtype=wi.dtype)
        with torch.no_grad():
            self.wr[:, -1] = 0.0
            wi[:, : self.in_features] = 0.0
            wi[:, -1] = turn

    def columns_of(self, index: int) -> list[int]:
        """The columns of the power of input ``index`` and of its rate and frequency."""
        return [index, self.in_features + index]


def _rows(values: Tensor | None, like: list[list[float]]) -> list[list[float]]:
    return [[0.0] * len(row) for row in like] if values is None else values.tolist()


def discrete_penalty(layer: PowerLayer) -> Tensor:
    """``mean |1 - |w|| + mean min(|g|, |1 - g|)`` of the exponents and gates of a power unit."""
    weight, gate = layer.effective_weight(), layer.effective_gate()
    penalty = (1 - weight.abs()).abs().mean((-2, -1))
    return penalty if gate is None else penalty + torch.minimum(gate.abs(), (1 - gate).abs()).mean(-1)
