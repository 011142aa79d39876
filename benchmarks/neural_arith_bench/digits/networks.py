"""Networks that read a sequence of digits and keep a running result: a small CNN, and a unit as recurrent cell."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from neural_arith.layers import NAC, NACNMU, NAU, Layer
from neural_arith.layers.base import redraw

FIRST, SECOND = 20, 50
"""Channels of the two convolutions, as in the network of Madsen and Johansen."""


class Patches(nn.Module):
    """A convolution without padding as one matrix for all patches, with channels last.

    The same function as ``nn.Conv2d``; many networks side by side run several times as fast in this form.

    Args:
        channels: of the image.
        features: of the result.
        size: pixels along an edge of a patch.
        generator: source of the initial weights.
    """

    def __init__(self, channels: int, features: int, size: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.size = size
        self.linear = linear(channels * size**2, features, generator)

    def forward(self, x: Tensor) -> Tensor:
        """``(images, height, width, channels)`` to ``(images, height - size + 1, width - size + 1, features)``."""
        if x.shape[-3:-1] == (self.size, self.size):  # one patch, whose gradient unfolding would sum up slowly
            return self.linear(x.movedim(-1, -3).flatten(-3))[..., None, None, :]
        return self.linear(x.unfold(-3, self.size, 1).unfold(-3, self.size, 1).flatten(-3))


class DigitReader(nn.Module):
    """A CNN that answers with one number: two convolutions, two dense layers, the last one linear.

    For 28 x 28 pixels the network of Madsen and Johansen: 20 and 50 channels, patches of 5 x 5, 500 hidden units. For
    8 x 8 patches are 3 x 3, no pooling follows the second convolution, which leaves one pixel, and there are 100.

    Args:
        side: pixels along an edge, 8 or 28.
        generator: source of the initial weights.
    """

    def __init__(self, side: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        size, left, hidden = (3, 1, 100) if side == 8 else (5, 4, 500)
        self.first = Patches(1, FIRST, size, generator)
        self.second = Patches(FIRST, SECOND, size, generator)
        self.hidden = linear(SECOND * left**2, hidden, generator)
        self.out = linear(hidden, 1, generator)

    def forward(self, images: Tensor) -> Tensor:
        """``(images, height, width)`` to ``(images,)``."""
        x = _pool(self.first(images[..., None])).relu()
        x = self.second(x)
        if x.shape[-2] > 1:
            x = _pool(x)
        return self.out(self.hidden(x.relu().flatten(1)).relu())[..., 0]


class LSTM(nn.Module):
    """A long short-term memory of one unit, whose state is its output and its memory.

    The formula of ``nn.LSTMCell``, which does not run under ``torch.vmap``, with one offset where that adds two.

    Args:
        generator: source of the initial weights.
    """

    out_features = 2

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.gates = nn.Linear(2, 4)
        for parameter in self.gates.parameters():
            redraw(parameter, 1.0, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Number read, output and memory, ``(sequences, 3)``, to the next output and memory, ``(sequences, 2)``."""
        enter, keep, new, show = self.gates(x[:, :2]).unbind(-1)
        memory = keep.sigmoid() * x[:, 2] + enter.sigmoid() * new.tanh()
        return torch.stack([show.sigmoid() * memory.tanh(), memory], -1)


class SequenceNetwork(nn.Module):
    """Reads each image, and passes the numbers one by one to a cell.

    Args:
        reader: images to numbers.
        cell: the number read and the state to the next state, whose first feature is the answer.
        side: pixels along an edge of an image.
        start: the first state.
        shift: whether training adds the penalty ``R_z`` of `shift_penalty`, with weight 1.
    """

    def __init__(
        self, reader: DigitReader, cell: Layer | LSTM, side: int, start: float, *, shift: bool = False
    ) -> None:
        super().__init__()
        self.reader = reader
        self.cell = cell
        self.side = side
        self.start = start
        self.shift = shift

    def answers(self, read: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs of the cell, ``(sequences, 1 + states)``, and the answer, ``(sequences,)``, at each step.

        Args:
            read: numbers, ``(sequences, steps)``.
        """
        state = torch.full_like(read[:, :1], self.start).expand(-1, self.cell.out_features)
        for number in read.unbind(1):
            inputs = torch.cat([number[:, None], state], -1)
            state = self.cell(inputs)
            yield inputs, state[:, 0]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The answers after each step, ``(sequences, steps)``, in training with ``shift`` also the penalty.

        Args:
            x: sequences of images, ``(sequences, steps * height * width)``.
        """
        images = x.reshape(-1, self.side, self.side)
        read = self.reader(images).reshape(len(x), -1)
        inputs, answers = zip(*self.answers(read), strict=True)
        out = torch.stack(answers, 1)
        if not (self.shift and self.training):
            return out
        assert isinstance(self.cell, Layer)  # noqa: S101
        return out, shift_penalty(self.cell, torch.stack(inputs))


def shift_penalty(cell: Layer, inputs: Tensor) -> Tensor:
    """``R_z``, which keeps the reader from making up for weights that are not 1 (Madsen & Johansen 2020, appendix).

    With the mean m of each input over the batch and all steps: the mean of ``(1 - |w|) m^2`` for units that add, and of
    ``(1 - w) (1 - m)^2`` for those that multiply; for NAC-nmu m is the mean of logarithms, as in the authors' code.

    Args:
        cell: the unit.
        inputs: of the cell, ``(*batch, inputs)``.
    """
    weight = cell.effective_weight()
    if isinstance(cell, NACNMU):
        inputs = inputs.abs().clamp(min=cell.floor).log()
    mean = inputs.flatten(0, -2).mean(0)
    if isinstance(cell, (NAU, NAC)):
        return ((1 - weight.abs()) * mean.square()).mean()
    return ((1 - weight) * (1 - mean).square()).mean()


def linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    """A dense layer with PyTorch's initial distribution, U(-r, r) with r = 1 / sqrt(inputs), from a generator."""
    layer = nn.Linear(inputs, outputs)
    for parameter in layer.parameters():
        redraw(parameter, inputs**-0.5, generator)
    return layer


def _pool(x: Tensor) -> Tensor:
    """The largest of each 2 x 2 pixels, channels last."""
    x = _larger(*x.unflatten(-3, (-1, 2)).unbind(-3))
    return _larger(*x.unflatten(-2, (-1, 2)).unbind(-2))


def _larger(a: Tensor, b: Tensor) -> Tensor:
    # the backward pass of torch.maximum looks for ties, which takes a third of a step of training
    return a + (b - a).relu()
