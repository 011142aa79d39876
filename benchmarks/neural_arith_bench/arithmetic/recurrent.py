"""The recurrent task: one operation on sums of inputs over a sequence, which may get a hundred times longer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith.layers import NAU, Layer
from neural_arith_bench.arithmetic.distributions import Uniform
from neural_arith_bench.arithmetic.operations import one_layer, operation
from neural_arith_bench.arithmetic.task import Part, Task, layout, selected

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
class RecurrentTask(Task):
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
        a, b = (x.sum(-2) @ self.selection(seed).to(x).T).unbind(-1)
        return operation(self.operation).function(a, b)[..., None]

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """An addition unit as the cell that keeps both sums, and one unit for the operation."""
        both = torch.eye(2, dtype=torch.float64)
        cell = torch.cat([both, self.selection(seed)], 1)
        return {
            f"NAU-{unit}": nn.Sequential(Accumulate(NAU.from_weights(cell)), *head)
            for unit, head in one_layer(self.operation, both).items()
        }
