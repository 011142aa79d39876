"""Tasks on few inputs: that of the NPU paper, single modules, and the distributions of the iNALU paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith.layers import NAU, NPU, RealNPU
from neural_arith_bench.arithmetic import thresholds
from neural_arith_bench.arithmetic.inputs import (
    ONE_TO_TWO,
    TWO_TO_SIX,
    Distribution,
    Exponential,
    TruncatedNormal,
    Uniform,
)
from neural_arith_bench.arithmetic.operations import one_layer, operation, two_layers
from neural_arith_bench.arithmetic.task import Part, SumTask, Task, layout, selected

POSITIVE = Uniform(0.1, 2.1)
"""What the published numbers were trained on."""


@dataclass(frozen=True)
class SimpleTask(Task):
    """``(x, y) -> (x + y, x y, x / y, sqrt x)``.

    After Heim, Pevny, Smidl (NeurIPS 2020, https://arxiv.org/abs/2006.01681). The paper trains on U(0.1, 2), its final
    code on U(0.1, 2.1), which its table comes from and which is the default here; ``SimpleTask(Uniform(0.1, 2.0))`` is
    the paper's. The extrapolation set is that of both: for the first three outputs the grid -4.1, -3.9, ..., 3.9 in
    both directions, which has no zero, and for the root the grid 0.1, 0.2, ..., 4.0; what a grid is not for is nan in
    the targets. The metric is the mean absolute error of each output, averaged over 20 runs.

    Attributes:
        inputs_from: distribution of the training inputs.
    """

    inputs_from: Uniform = POSITIVE

    batch_size: ClassVar[int] = 100
    outputs: ClassVar[tuple[str, ...]] = ("add", "mul", "div", "sqrt")
    _SIGNED: ClassVar[int] = 41 * 41

    @property
    def name(self) -> str:
        """Always ``simple``."""
        return "simple"

    @property
    def in_features(self) -> int:
        """Two."""
        return 2

    @property
    def out_features(self) -> int:
        """Four, in the order of ``outputs``."""
        return len(self.outputs)

    def distribution(self, part: Part) -> Uniform:
        """Of training, validation and interpolation; for extrapolation the range of the first grid."""
        return Uniform(-4.1, 3.9) if part == "extrapolation" else self.inputs_from

    def fixed_inputs(self, part: Part) -> Tensor:
        """The inputs of a fixed set; for extrapolation both grids, 1681 and 1600 points."""
        if part != "extrapolation":
            return super().fixed_inputs(part)
        tenths = torch.arange(-41, 40, 2, dtype=torch.float64), torch.arange(1, 41, dtype=torch.float64)
        return torch.cat([torch.cartesian_prod(axis, axis) for axis in tenths]) / 10

    def answers(self, part: Part, x: Tensor, seed: int) -> Tensor:
        """The targets of a set; for extrapolation nan where its grid is for other outputs."""
        y = super().answers(part, x, seed)
        if part == "extrapolation":
            y[: self._SIGNED, 3] = torch.nan
            y[self._SIGNED :, :3] = torch.nan
        return y

    def target(self, x: Tensor, seed: int = 0) -> Tensor:
        """``(*batch, 2)`` to ``(*batch, 4)``; the root of a negative number is nan."""
        a, b = x.unbind(-1)
        return torch.stack([a + b, a * b, a / b, a.sqrt()], -1)

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """Six power units, of which one stays unused as in the paper's network, and a sum of them."""
        exponents = [[1, 0], [0, 1], [1, 1], [1, -1], [0.5, 0], [0, 0]]
        sums = [[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]]

        return {
            f"{unit.__name__}-NAU": nn.Sequential(unit.from_weights(exponents), NAU.from_weights(sums))
            for unit in (RealNPU, NPU)
        }


SINGLE_MODULE = ("add", "sub", "mul", "div")

SINGLE_MODULE_RANGES = (
    (Uniform(-20, -10), Uniform(-40, -20)),
    (Uniform(-2, -1), Uniform(-6, -2)),
    (Uniform(-1.2, -1.1), Uniform(-6.1, -1.2)),
    (Uniform(-0.2, -0.1), Uniform(-2, -0.2)),
    (Uniform(-2, 2), Uniform(2, 6, mirrored=True)),
    (Uniform(0.1, 0.2), Uniform(0.2, 2)),
    (Uniform(1, 2), Uniform(2, 6)),
    (Uniform(1.1, 1.2), Uniform(1.2, 6)),
    (Uniform(10, 20), Uniform(20, 40)),
)
"""Training and extrapolation ranges, in the order of the paper."""


@dataclass(frozen=True)
class SingleModuleTask(SumTask):
    """One operation on two inputs, learnt by one layer.

    After Mistry, Farrahi and Hare (A primer for neural arithmetic logic modules, JMLR 23(185), 2022). Two inputs: Adam,
    50,000 steps, 25 seeds. Ten or a hundred inputs, of which two neighbours matter, drawn for each seed: 100,000 steps.

    Attributes:
        operation: one of `SINGLE_MODULE`.
        train: range of training, validation and interpolation.
        test: range of extrapolation.
        inputs: number of inputs.
        epsilon: of the perturbed solution that sets the bar; the authors' committed script has 1e-4, their table of
            settings 1e-5. Quote it beside a success rate.

    Raises:
        OptionError: an operation that is none, or fewer than two inputs.
    """

    operation: str
    train: Uniform = ONE_TO_TWO
    test: Uniform = TWO_TO_SIX
    inputs: int = 2
    epsilon: float = thresholds.EPSILON

    def __post_init__(self) -> None:
        operation(self.operation, SINGLE_MODULE)
        if self.inputs < 2:
            raise OptionError(f"expected at least 2 inputs, got {self.inputs}")

    @property
    def name(self) -> str:
        """The operation, the training range and the number of inputs."""
        return f"{self.operation}-{self.train}-{self.inputs}"

    @property
    def in_features(self) -> int:
        """Number of inputs."""
        return self.inputs

    def distribution(self, part: Part) -> Uniform:
        """The range of one part."""
        return self.test if part == "extrapolation" else self.train

    def selection(self, seed: int = 0) -> Tensor:
        """Zeros and ones that pick a and b, ``(2, inputs)``, where this seed puts them."""
        first = int(layout(seed).integers(self.inputs - 1))
        return selected(self.inputs, (first, first + 1), (first + 1, first + 2))

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """The units that can hold the operation in one layer."""
        return dict(one_layer(self.operation, self.selection(seed)))

    def threshold(self) -> float:
        """The expected error of the solution off by ``epsilon``."""
        return thresholds.single_module(self.operation, self.inputs, self.test, self.epsilon)


INALU = ("add", "sub", "mul", "div")

INALU_DISTRIBUTIONS: tuple[tuple[Distribution, Distribution], ...] = (
    (TruncatedNormal(-3, 3), TruncatedNormal(8, 10)),
    (TruncatedNormal(-2, 4), TruncatedNormal(8, 10)),
    (TruncatedNormal(-4, 2), TruncatedNormal(8, 10)),
    (Uniform(-1, 1), Uniform(-10, -5)),
    (Uniform(-5, 5), Uniform(-10, -5)),
    (Exponential(0.2), Exponential(0.5)),
    (Exponential(0.8), Exponential(0.5)),
)
"""Training and extrapolation of the two-input experiment, as far as its committed results go.

The last is no extrapolation: its training inputs are the larger ones.
"""

AROUND_ZERO, BELOW = Uniform(-3, 3), Uniform(-5, -3)
"""Training and extrapolation of the experiment with 100 inputs."""

SUCCESS = 1e-5
"""The bar of the paper, for the final mean squared error."""


@dataclass(frozen=True)
class INALUTask(SumTask):
    """One operation on two numbers among two or ten inputs, or on two sums of a hundred.

    After Schloer, Ring, Hotho (iNALU, Frontiers in Artificial Intelligence 3, 2020).
    Of ten inputs the first two matter. Of a hundred, each belongs to a with probability one half, to b with one
    quarter, otherwise to neither, drawn for each seed (the authors' script draws it before it sets its seed). The
    authors train for 100 epochs on 64,000 points; a stream here draws ever new ones, ``fixed("train")`` gives such a
    set.

    Attributes:
        operation: one of `INALU`.
        train: distribution of training, validation and interpolation.
        test: distribution of extrapolation.
        inputs: 2, 10 or 100.

    Raises:
        OptionError: an operation or a number of inputs that is none of these.
    """

    operation: str
    train: Distribution = AROUND_ZERO
    test: Distribution = BELOW
    inputs: int = 100

    batch_size: ClassVar[int] = 64

    def __post_init__(self) -> None:
        operation(self.operation, INALU)
        if self.inputs not in (2, 10, 100):
            raise OptionError(f"inputs must be 2, 10 or 100, not {self.inputs}")

    @property
    def name(self) -> str:
        """The operation, the training distribution and the number of inputs."""
        return f"{self.operation}-{self.train}-{self.inputs}"

    @property
    def in_features(self) -> int:
        """Number of inputs."""
        return self.inputs

    def points(self, part: Part) -> int:
        """64,000."""
        return 64_000

    def distribution(self, part: Part) -> Distribution:
        """The distribution of one part."""
        return self.test if part == "extrapolation" else self.train

    def selection(self, seed: int = 0) -> Tensor:
        """Zeros and ones that pick the inputs of a and b, ``(2, inputs)``."""
        if self.inputs < 100:
            return selected(self.inputs, (0, 1), (1, 2))
        quarter = torch.from_numpy(layout(seed).integers(4, size=self.inputs))
        return torch.stack([quarter < 2, quarter == 2]).double()

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """One layer for two or ten inputs, two for a hundred."""
        solve = two_layers if self.inputs == 100 else one_layer
        return dict(solve(self.operation, self.selection(seed)))

    def threshold(self) -> float:
        """The paper's flat bar."""
        return SUCCESS
