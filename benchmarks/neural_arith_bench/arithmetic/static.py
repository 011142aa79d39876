"""The static task of Madsen and Johansen: one operation on sums of overlapping runs of inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith_bench.arithmetic import thresholds
from neural_arith_bench.arithmetic.distributions import ONE_TO_TWO, TWO_TO_SIX, Uniform
from neural_arith_bench.arithmetic.operations import operation, two_layers
from neural_arith_bench.arithmetic.task import Part, Task, layout, selected

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
class StaticTask(Task):
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

    def target(self, x: Tensor, seed: int = 0) -> Tensor:
        """``(*batch, inputs)`` to ``(*batch, 1)``."""
        return operation(self.operation).function(*(x @ self.selection(seed).to(x).T).unbind(-1))[..., None]

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
