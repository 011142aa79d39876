"""Images of digits against hand-made files, and the networks that read them against PyTorch's own layers."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch
from idx_files import four_files, idx
from neural_arith_bench.digits.images import mnist, read_idx, scanned_digits
from neural_arith_bench.digits.networks import LSTM, DigitReader, Patches, SequenceNetwork, shift_penalty
from torch import nn
from torch.nn.functional import conv2d, max_pool2d

from neural_arith.errors import DataError
from neural_arith.layers import NAC, NACNMU, NAU, NMU

# --- files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_idx_file_made_by_hand_is_read(tmp_path, pack):
    values = np.arange(24).reshape(2, 3, 4)
    (tmp_path / "x").write_bytes(pack(idx(values)))
    assert np.array_equal(read_idx(tmp_path / "x", 3), values)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "begins $"),
        (b"\x00\x00\x08\x01\x00\x00", "not an IDX file"),
        (idx(np.zeros((2, 3))), "not an IDX file of bytes with 1"),
        (b"\x00\x00\x0d\x01" + struct.pack(">If", 1, 2.0), "not an IDX file of bytes"),
        (idx(np.zeros(5))[:-1], "5 values but has 4"),
        (idx(np.zeros(5)) + b"\x00", "5 values but has 6"),
        (gzip.compress(idx(np.zeros(5)), mtime=0)[:-9], "cannot be read"),
        (b"\x1f\x8bno gzip at all", "cannot be read"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, content, says):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_idx(tmp_path / "x", 1)


def test_mnist_from_its_four_files(tmp_path):
    four_files(tmp_path, packed=("t10k",))
    found = mnist(tmp_path)
    assert [len(part.digits) for part in (found.train, found.validation, found.test)] == [22, 2, 12]
    assert found.validation.digits.tolist() == [2, 3]
    assert found.side == 28
    pixel = found.test.images[:, 3, 5]
    steps = pixel[1:10] - pixel[:9]
    assert torch.allclose(steps, steps[0].expand(9), rtol=1e-5)
    assert abs(float(found.train.images.mean())) < 1e-5
    assert abs(float(found.train.images.std(correction=0)) - 1) < 1e-5


def test_mnist_files_that_are_missing_or_do_not_fit_are_named(tmp_path):
    with pytest.raises(DataError, match="no file train-images-idx3-ubyte"):
        mnist(tmp_path)
    four_files(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(11) % 10))
    with pytest.raises(DataError, match=r"files of t10k .* do not fit"):
        mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(12, 10)))
    with pytest.raises(DataError, match="up to 10"):
        mnist(tmp_path)


def test_the_scans_come_in_three_parts_that_together_are_all():
    found = scanned_digits()
    parts = (found.train, found.validation, found.test)
    assert [tuple(part.images.shape) for part in parts] == [(1197, 8, 8), (200, 8, 8), (400, 8, 8)]
    assert torch.bincount(torch.cat([part.digits for part in parts])).tolist()[:3] == [178, 182, 177]
    without = found.only(range(1, 10))
    assert not bool((without.test.digits == 0).any())
    assert len(without.test.images) == int((found.test.digits > 0).sum())
    with pytest.raises(DataError, match="every part"):
        found.only([11])


# --- networks --------------------------------------------------------------------------------------------


def as_convolution(layer: Patches, x: torch.Tensor) -> torch.Tensor:
    """The same by PyTorch's convolution, channels first."""
    weight = layer.linear.weight.reshape(len(layer.linear.weight), -1, layer.size, layer.size)
    return conv2d(x, weight, layer.linear.bias)


@pytest.mark.parametrize("side", [8, 28])
def test_the_reader_is_the_cnn_that_it_says(side):
    reader = DigitReader(side, torch.Generator().manual_seed(0)).double()
    images = torch.randn(5, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = max_pool2d(as_convolution(reader.first, images[:, None]), 2).relu()
    x = as_convolution(reader.second, x)
    if side == 28:
        x = max_pool2d(x, 2)
        assert sum(p.numel() for p in reader.parameters()) == 520 + 25_050 + 400_500 + 501  # the authors' network
    x = x.relu().movedim(1, -1).flatten(1)
    assert torch.allclose(reader(images), reader.out(reader.hidden(x).relu())[:, 0], atol=1e-12)


def test_the_reader_begins_as_pytorch_layers_do():
    reader = DigitReader(28, torch.Generator().manual_seed(0))
    for layer, inputs in ((reader.first.linear, 25), (reader.second.linear, 500), (reader.hidden, 800)):
        bound = inputs**-0.5
        assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound


def test_the_lstm_is_that_of_pytorch():
    ours, theirs = LSTM(torch.Generator().manual_seed(0)), nn.LSTMCell(1, 1)
    with torch.no_grad():
        theirs.weight_ih.copy_(ours.gates.weight[:, :1])
        theirs.weight_hh.copy_(ours.gates.weight[:, 1:])
        theirs.bias_ih.copy_(ours.gates.bias)
        theirs.bias_hh.zero_()
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    expected = torch.cat(theirs(x[:, :1], (x[:, 1:2], x[:, 2:])), 1)
    assert torch.allclose(ours(x), expected, atol=1e-6)


@pytest.mark.parametrize(("unit", "start"), [(NAU, 0.0), (NMU, 1.0)])
def test_a_hard_wired_cell_keeps_the_running_result_of_what_is_read(unit, start):
    network = SequenceNetwork(
        DigitReader(8, torch.Generator().manual_seed(0)), unit.from_weights([[1.0, 1.0]]), 8, start
    )
    x = torch.randn(4, 5 * 64, generator=torch.Generator().manual_seed(1))
    read = network.reader(x.reshape(20, 8, 8)).reshape(4, 5)
    expected = read.cumsum(1) if unit is NAU else read.cumprod(1)
    assert torch.allclose(network(x).float(), expected, atol=1e-5)


def test_the_shift_penalty_by_hand():
    inputs = torch.tensor([[[1.0, 2.0]], [[3.0, 6.0]]])  # means 2 and 4
    add, multiply = NAU.from_weights([[0.5, -1.0]], sparse=False), NMU.from_weights([[0.5, 0.75]], sparse=False)
    assert float(shift_penalty(add, inputs).detach()) == pytest.approx((0.5 * 4 + 0) / 2)
    assert float(shift_penalty(multiply, inputs).detach()) == pytest.approx((0.5 * 1 + 0.25 * 9) / 2)
    log = NACNMU(2, 1)
    with torch.no_grad():
        log.weight.copy_(torch.tensor([[0.5, 1.0]]))
    assert float(shift_penalty(log, inputs).detach()) == pytest.approx(0.5 * (1 - np.log([1, 3]).mean()) ** 2 / 2)
    squashed = NAC(2, 1, generator=torch.Generator().manual_seed(0))
    size = squashed.effective_weight().detach().abs().numpy()[0]
    assert float(shift_penalty(squashed, inputs).detach()) == pytest.approx(np.mean((1 - size) * [4, 16]), rel=1e-5)
