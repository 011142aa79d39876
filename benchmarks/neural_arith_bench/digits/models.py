"""Which networks compete for sequences of digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith.layers import NAC, NACNMU, NALU, NAU, NMU, Layer, NACMul, NACSigma
from neural_arith_bench.digits.networks import LSTM, DigitReader, SequenceNetwork
from neural_arith_bench.digits.sequences import SequenceTask
from neural_arith_bench.populations.optimisers import Adam, Averaged, Optimiser
from neural_arith_bench.populations.schedules import AuthorPenalty, Penalty, Ramp

REFERENCE = "reference"
"""The model whose cell is the solution, only its reader trains: it sets the bar."""

_WEIGHT = 10.0
"""The weight of the units' regulariser at the end of its ramp, as published."""


@dataclass(frozen=True)
class DigitModel:
    """One competitor.

    Attributes:
        name: short.
        cell: makes the recurrent cell from a generator.
        shift: whether it trains with the penalty ``R_z``.
        penalised: the class of units whose regulariser is part of the protocol, None for the others.
        averaged: whether it is judged by a running mean of its parameters, which is ours and not published.
    """

    name: str
    cell: Callable[[torch.Generator], Layer | LSTM]
    shift: bool = False
    penalised: type[Layer] | None = None
    averaged: bool = False

    def network(self, task: SequenceTask, side: int, seed: int) -> SequenceNetwork:
        """The network of one seed; models of one seed begin with the same reader."""
        reader = DigitReader(side, torch.Generator().manual_seed(2 * seed))
        cell = self.cell(torch.Generator().manual_seed(2 * seed + 1))
        return SequenceNetwork(reader, cell, side, task.start, shift=self.shift)

    def penalties(self, task: SequenceTask, steps: int) -> tuple[Penalty, ...]:
        """The regulariser over so many steps, its ramp at the published share of them."""
        if self.penalised is None:
            return ()
        start, end = (share * steps for share in task.ramp)
        return (Penalty(AuthorPenalty(self.penalised), Ramp(_WEIGHT, start, end)),)

    def optimiser(self) -> Optimiser:
        """Adam with its usual numbers, as published, with or without the running mean."""
        return Averaged(Adam()) if self.averaged else Adam()

    @property
    def has_weights(self) -> bool:
        """Whether the cell has weights whose distance to whole numbers can be told."""
        return self.name not in ("LSTM", REFERENCE)


def models(operation: str) -> dict[str, DigitModel]:
    """The competitors by name, the reference first."""
    return {model.name: model for model in _MODELS[operation]}


def chosen_models(operation: str, names: Sequence[str] | None) -> list[DigitModel]:
    """Competitors by name, all if None; those only for the other operation are left out.

    Raises:
        OptionError: no operation has such a model.
    """
    known = models(operation)
    everywhere = dict.fromkeys(model.name for some in _MODELS.values() for model in some)
    for name in names or ():
        if name not in everywhere:
            raise OptionError(f"there is no model {name!r}; choose among {', '.join(everywhere)}")
    return [known[name] for name in (known if names is None else dict.fromkeys(names)) if name in known]


def cell_weight(network: nn.Module) -> Tensor:
    """A measure of a network: the weights of its cell, ``(O, I)``."""
    assert isinstance(network, SequenceNetwork)  # noqa: S101
    assert isinstance(network.cell, Layer)  # noqa: S101
    return network.cell.effective_weight()


def _fixed(unit: type[NAU] | type[NMU]) -> Callable[[torch.Generator], Layer]:
    def make(generator: torch.Generator) -> Layer:
        return unit.from_weights(torch.ones(1, 2)).requires_grad_(False)

    return make


_MODELS: dict[str, tuple[DigitModel, ...]] = {
    "product": (
        DigitModel(REFERENCE, _fixed(NMU)),
        DigitModel("NMU", lambda g: NMU(2, 1, generator=g), penalised=NMU),
        DigitModel("NMU-Rz", lambda g: NMU(2, 1, generator=g), shift=True, penalised=NMU),
        DigitModel("NMU-Rz-mean", lambda g: NMU(2, 1, generator=g), True, NMU, averaged=True),
        DigitModel("NAC-nmu", lambda g: NACNMU(2, 1, generator=g), penalised=NACNMU),
        DigitModel("NAC-nmu-Rz", lambda g: NACNMU(2, 1, generator=g), shift=True, penalised=NACNMU),
        DigitModel("NAC-sigma", lambda g: NACSigma(2, 1, generator=g)),
        DigitModel("NAC-mul", lambda g: NACMul(2, 1, generator=g)),
        DigitModel("NALU", lambda g: NALU(2, 1, generator=g)),
        DigitModel("LSTM", LSTM),
    ),
    "sum": (
        DigitModel(REFERENCE, _fixed(NAU)),
        DigitModel("NAU", lambda g: NAU(2, 1, clip=True, generator=g), penalised=NAU),
        DigitModel("NAU-Rz", lambda g: NAU(2, 1, clip=True, generator=g), shift=True, penalised=NAU),
        DigitModel("NAU-Rz-mean", lambda g: NAU(2, 1, clip=True, generator=g), True, NAU, averaged=True),
        DigitModel("NAC+", lambda g: NAC(2, 1, generator=g)),
        DigitModel("NAC+-Rz", lambda g: NAC(2, 1, generator=g), shift=True),
        DigitModel("NALU", lambda g: NALU(2, 1, generator=g)),
        DigitModel("LSTM", LSTM),
    ),
}
