"""The operations of the tasks: what they compute of two numbers, and the weights of the units that compute it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith.layers import NAU, NMU, NPU, Layer, RealNPU


@dataclass(frozen=True)
class Operation:
    """One operation on a and b.

    Attributes:
        function: two tensors of one shape to a third.
        coefficients: of a and b where the operation is a sum, for an addition unit.
        exponents: of a and b where it is a product of powers, for a power unit.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    coefficients: tuple[float, float] | None = None
    exponents: tuple[float, float] | None = None


OPERATIONS: dict[str, Operation] = {
    "add": Operation(lambda a, b: a + b, coefficients=(1, 1)),
    "sub": Operation(lambda a, b: a - b, coefficients=(1, -1)),
    "mul": Operation(lambda a, b: a * b, exponents=(1, 1)),
    "div": Operation(lambda a, b: a / b, exponents=(1, -1)),
    "square": Operation(lambda a, b: a * a, exponents=(2, 0)),
    "sqrt": Operation(lambda a, b: a.sqrt(), exponents=(0.5, 0)),
    "reciprocal": Operation(lambda a, b: 1 / a, exponents=(-1, 0)),
}
"""By name. The last three do not use b."""


def operation(name: str, allowed: tuple[str, ...] = tuple(OPERATIONS)) -> Operation:
    """The operation of a name.

    Raises:
        OptionError: it is not one of those allowed.
    """
    if name not in allowed:
        raise OptionError(f"operation must be one of {', '.join(allowed)}, not {name!r}")
    return OPERATIONS[name]


def one_layer(name: str, selection: Tensor) -> dict[str, nn.Sequential]:
    """The units that compute an operation on two of the inputs alone, with the weights that do.

    Args:
        name: of the operation.
        selection: zeros and ones that pick a and b, one input each, ``(2, inputs)``.

    Returns:
        Name of the unit -> network of one layer, in float64.
    """
    op = OPERATIONS[name]
    if op.coefficients is not None:
        return {"NAU": nn.Sequential(NAU.from_weights(_row(op.coefficients) @ selection))}
    return {unit: nn.Sequential(layer) for unit, layer in _products(op, selection).items()}


def two_layers(name: str, selection: Tensor, hidden: int = 2) -> dict[str, nn.Sequential]:
    """The networks of two layers that compute an operation on two sums of inputs, with the weights that do.

    An addition unit forms the sums; where the operation is itself a sum, a power unit behind it copies it.

    Args:
        name: of the operation.
        selection: zeros and ones that pick the inputs of a and of b, ``(2, inputs)``.
        hidden: width of the first layer, at least 2; what is not needed is zero.

    Returns:
        Names of the units, as in ``"NAU-NMU"`` -> network, in float64.
    """
    op = OPERATIONS[name]
    found: dict[str, nn.Sequential] = {}
    if op.coefficients is not None:
        found["NAU-NAU"] = _stack(selection, NAU.from_weights(_padded(_row(op.coefficients), hidden)), hidden)
        total = _row(op.coefficients) @ selection
        copied = _products(Operation(op.function, exponents=(1, 0)), _padded(torch.eye(2, dtype=torch.float64), hidden))
        return found | {f"NAU-{unit}": _stack(total, layer, hidden) for unit, layer in copied.items()}
    for unit, layer in _products(op, _padded(torch.eye(2, dtype=torch.float64), hidden)).items():
        found[f"NAU-{unit}"] = _stack(selection, layer, hidden)
    if name == "square":  # a multiplication unit needs the sum twice
        twice = NMU.from_weights(_padded(_row((1, 1)), hidden))
        found["NAU-NMU"] = _stack(selection[:1].expand(2, -1), twice, hidden)
    return found


def _products(op: Operation, selection: Tensor) -> dict[str, Layer]:
    exponents = op.exponents
    if exponents is None:
        raise OptionError("this operation is no product of powers")
    weights = _row(exponents) @ selection
    units: dict[str, Layer] = {"RealNPU": RealNPU.from_weights(weights), "NPU": NPU.from_weights(weights)}
    return units | ({"NMU": NMU.from_weights(weights)} if set(exponents) <= {0, 1} else {})


def _stack(rows: Tensor, head: Layer, hidden: int) -> nn.Sequential:
    first = torch.zeros(hidden, rows.shape[1], dtype=torch.float64)
    first[: len(rows)] = rows
    return nn.Sequential(NAU.from_weights(first), head)


def _row(values: tuple[float, float]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def _padded(rows: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1]))
