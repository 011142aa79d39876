"""Tasks on sums of many inputs: Madsen and Johansen's, that of the NPU paper, and sums over a sequence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith.layers import NAU, Layer
from neural_arith_bench.arithmetic import thresholds
from neural_arith_bench.arithmetic.inputs import ONE_TO_TWO, TWO_TO_SIX, Uniform
from neural_arith_bench.arithmetic.operations import one_layer, operation, two_layers
from neural_arith_bench.arithmetic.task import KEYS, Part, Source, SumTask, layout, selected

STATIC = ("add", "sub", "mul", "div", "square", "sqrt")

RANGES = (
    (Uniform(-2, -1), Uniform(-6, -2)),
    (Uniform(-2, 2), Uniform(2, 6, mirrored=True)),
    (Uniform(0, 1), Uniform(1, 5)),
    (Uniform(0.1, 0.2), Uniform(0.2, 2)),
    (Uniform(1, 2), Uniform(2, 6)),
    (Uniform(1.1, 1.2), Uniform(1.2, 6)),
    (Uniform(10, 20), Uniform(20, 40)),
)
"""Training and extrapolation ranges of the paper's range experiment, in its order."""

_SETTINGS = ("inputs", "subset", "overlap", "train", "test", "hidden")


@dataclass(frozen=True)
class StaticTask(SumTask):
    """An operation on a and b, sums of runs of inputs whose place is drawn once for each seed.

    After Madsen and Johansen (ICLR 2020, https://arxiv.org/abs/2001.05016), who took it from Trask et al.
    (https://arxiv.org/abs/1808.00508). Adam 1e-3, 5 million steps, an evaluation every 1000, 100 seeds, mean squared
    error.

    Attributes:
        operation: one of `STATIC`.
        inputs: number of inputs.
        subset: share of the inputs that each sum has, rounded down.
        overlap: share of a sum that the other has as well, rounded down.
        train: range of training, validation and interpolation.
        test: range of extrapolation.
        toy: the small task instead, whose a is the sum of the first two of four inputs, and b that of all.
        exact_bar: the bar for the task as it is drawn; the default is the published bar, whose script has one input too
            many in each sum, see `thresholds.published_groups`. The toy task has no such slip.
        hidden: width of the networks' first layer.

    Raises:
        OptionError: an operation that is none, or sums that do not fit.
    """

    operation: str
    inputs: int = 100
    subset: float = 0.25
    overlap: float = 0.5
    train: Uniform = ONE_TO_TWO
    test: Uniform = TWO_TO_SIX
    toy: bool = False
    exact_bar: bool = False
    hidden: int = 2

    def __post_init__(self) -> None:
        operation(self.operation, STATIC)
        size, shared = self.sizes
        if not 0 <= shared <= size or size < 1 or 2 * size - shared > self.in_features:
            raise OptionError(
                f"two sums of {size} inputs, {shared} of them shared, do not fit {self.in_features} inputs"
            )

    @property
    def name(self) -> str:
        """The operation and what differs from the default."""
        if self.toy:
            return f"{self.operation}-toy"
        plain = StaticTask(self.operation)
        parts = [f"{key}={getattr(self, key)}" for key in _SETTINGS]
        usual = [f"{key}={getattr(plain, key)}" for key in _SETTINGS]
        return "-".join([self.operation, *(part for part in parts if part not in usual)])

    @property
    def in_features(self) -> int:
        """Number of inputs."""
        return 4 if self.toy else self.inputs

    @property
    def sizes(self) -> tuple[int, int]:
        """How many inputs a sum has, and how many of them both have; for the toy task, of a."""
        if self.toy:
            return 2, 2
        size = math.floor(self.subset * self.inputs)
        return size, math.floor(self.overlap * size)

    def distribution(self, part: Part) -> Uniform:
        """The range of one part."""
        return self.test if part == "extrapolation" else self.train

    def selection(self, seed: int = 0) -> Tensor:
        """Zeros and ones that pick the inputs of a and b, ``(2, inputs)``, where this seed puts them."""
        if self.toy:
            return selected(4, (0, 2), (0, 4))
        size, shared = self.sizes
        used = 2 * size - shared
        first = int(layout(seed).integers(self.inputs - used + 1))
        return selected(self.inputs, (first, first + size), (first + size - shared, first + used))

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """An addition unit for both sums and one unit for the operation."""
        return dict(two_layers(self.operation, self.selection(seed), self.hidden))

    def threshold(self) -> float:
        """The expected error of a first layer off by 1e-5.

        A quotient of sums that may be zero has no expectation: there it is the mean over the extrapolation set of seed
        0, for the task as it is drawn. Where every input belongs to a sum the
        published script has no bar, and this is that of the task as it is drawn.
        """
        if self.operation in ("div", "sqrt") and (self.test.mirrored or self.test.low <= 0 <= self.test.high):
            return thresholds.simulated_static(self.operation, self.selection(), self.fixed_inputs("extrapolation"))
        groups = thresholds.groups_of(self.selection())
        if not (self.toy or self.exact_bar or groups[-1] == 0):
            groups = thresholds.published_groups(groups)
        return thresholds.static(self.operation, groups, self.test)


LARGE_SCALE = ("add", "mul", "reciprocal", "sqrt")

_TRAIN = {"add": Uniform(-1, 1), "mul": Uniform(-1, 1), "reciprocal": Uniform(0, 0.5), "sqrt": Uniform(0, 2)}
_TEST = {
    "code": {"add": Uniform(-2, 2), "mul": Uniform(-2, 2), "reciprocal": Uniform(-0.5, 0), "sqrt": Uniform(0, 4)},
    "paper": {"add": Uniform(-4, 4), "mul": Uniform(-4, 4), "reciprocal": Uniform(-0.5, 0.5), "sqrt": Uniform(0, 4)},
}


@dataclass(frozen=True)
class LargeScaleTask(SumTask):
    """``a + b``, ``a b``, ``1 / a`` or ``sqrt a`` of two sums of 50 inputs, 12 of them shared, among 100.

    After Heim, Pevny, Smidl (NeurIPS 2020, https://arxiv.org/abs/2006.01681). a sums the inputs 1 to 50, b 39 to 88.
    Inputs are a Sobol sequence, the same for all seeds: only the initial weights differ between runs. The metric is the
    mean squared error on 10,000 points, median of the ten best of the runs.

    Attributes:
        operation: one of `LARGE_SCALE`.
        source_of_ranges: ``"code"``, the ranges that the published numbers were computed on, twice those of training
            but (-0.5, 0) for the reciprocal; or ``"paper"``, those that the table of the paper prints.
        sampler: ``"sobol"`` as published, or ``"uniform"`` for points that differ between seeds.

    Raises:
        OptionError: one of them has no such value.
    """

    operation: str
    source_of_ranges: Literal["code", "paper"] = "code"
    sampler: Literal["sobol", "uniform"] = "sobol"

    hidden: ClassVar[int] = 100
    """Width of the published networks, of which two are enough."""

    def __post_init__(self) -> None:
        operation(self.operation, LARGE_SCALE)
        if self.source_of_ranges not in _TEST or self.sampler not in ("sobol", "uniform"):
            raise OptionError(f"expected source_of_ranges code or paper, sampler sobol or uniform, got {self}")

    @property
    def name(self) -> str:
        """The operation."""
        return self.operation

    @property
    def in_features(self) -> int:
        """One hundred."""
        return 100

    def distribution(self, part: Part) -> Uniform:
        """The range of one part."""
        return (_TEST[self.source_of_ranges] if part == "extrapolation" else _TRAIN)[self.operation]

    @property
    def one_stream(self) -> bool:
        """With the Sobol sequence."""
        return self.sampler == "sobol"

    def source(self, part: Part, seed: int, skip: int = 0) -> Source:
        """The Sobol sequence without its first point, zero; scrambled for validation and interpolation."""
        if self.sampler == "uniform":
            return super().source(part, seed, skip)
        scramble = part in ("validation", "interpolation")
        engine = torch.quasirandom.SobolEngine(self.in_features, scramble, KEYS[part]).fast_forward(1 + skip)
        return lambda points: engine.draw(points, dtype=torch.float64)

    def selection(self, seed: int = 0) -> Tensor:
        """Zeros and ones that pick the inputs of a and b, ``(2, 100)``."""
        return selected(100, (0, 50), (38, 88))

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """An addition unit of 100 rows, all but one or two of them zero, and one unit behind it."""
        return dict(two_layers(self.operation, self.selection(), self.hidden))


RECURRENT = ("add", "sub", "mul", "div", "square", "sqrt")


class Accumulate(nn.Module):
    """A unit as the cell of a recurrent network, ``h_t = cell([h_(t-1), x_t])``, from zero.

    Args:
        cell: of ``states + inputs`` to ``states`` features.
    """

    def __init__(self, cell: Layer) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        """The last state: ``(*batch, time, inputs)`` to ``(*batch, states)``."""
        state = x.new_zeros(*x.shape[:-2], self.cell.out_features)
        for now in x.unbind(-2):
            state = self.cell(torch.cat([state, now], -1))
        return state


@dataclass(frozen=True)
class RecurrentTask(SumTask):
    """An operation on a and b, sums over two runs of the inputs and over the whole sequence.

    After Trask et al. (NeurIPS 2018, https://arxiv.org/abs/1808.00508, the simple function learning tasks) in the form
    of Madsen and Johansen's public code, which has 10 inputs, U(1, 2), 10 steps in training and 1000 in extrapolation,
    where the range stays the same. Their published tables have no recurrent results. The runs have
    2 to 5 inputs each and share 1 or 2 of them, drawn for each seed. (The code's own bounds are 1 to 5, which its check
    refuses, as a run cannot share more than it has.)

    Attributes:
        operation: one of `RECURRENT`.
        inputs: number of inputs at one time.
        steps: length of a sequence in training, validation and interpolation.
        longer: length in extrapolation.
        count: points of a fixed set, fewer than elsewhere because a point is large: 2048 is the code's number.
    """

    operation: str
    inputs: int = 10
    steps: int = 10
    longer: int = 1000
    count: int = 2048

    def __post_init__(self) -> None:
        operation(self.operation, RECURRENT)
        if self.inputs < 9 or self.steps < 1 or self.longer < 1:
            raise OptionError(f"expected at least 9 inputs and sequences of at least one step, got {self}")

    @property
    def name(self) -> str:
        """The operation."""
        return self.operation

    @property
    def in_features(self) -> int:
        """Number of inputs at one time."""
        return self.inputs

    def shape(self, part: Part) -> tuple[int, ...]:
        """``(time, inputs)``."""
        return (self.longer if part == "extrapolation" else self.steps, self.inputs)

    def points(self, part: Part) -> int:
        """As ``count`` says."""
        return self.count

    def distribution(self, part: Part) -> Uniform:
        """U(1, 2) throughout."""
        return Uniform(1, 2)

    def selection(self, seed: int = 0) -> Tensor:
        """Zeros and ones that pick the inputs of a and b, ``(2, inputs)``, where this seed puts them."""
        draw = layout(seed)
        shared = int(draw.integers(1, 3))
        size, other = (int(count) for count in draw.integers(2, 6, size=2))
        first = int(draw.integers(self.inputs - size - other + shared + 1))
        end = first + size
        return selected(self.inputs, (first, end), (end - shared, end - shared + other))

    def target(self, x: Tensor, seed: int = 0) -> Tensor:
        """``(*batch, time, inputs)`` to ``(*batch, 1)``."""
        return super().target(x.sum(-2), seed)

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """An addition unit as the cell that keeps both sums, and one unit for the operation."""
        both = torch.eye(2, dtype=torch.float64)
        cell = torch.cat([both, self.selection(seed)], 1)
        return {
            f"NAU-{unit}": nn.Sequential(Accumulate(NAU.from_weights(cell)), *head)
            for unit, head in one_layer(self.operation, both).items()
        }
