"""Every layer through the contract, against oracles in mpmath."""

from typing import Any, ClassVar

import mpmath as mp
import pytest
import torch

from neural_arith.layers import (
    GNALU,
    INALU,
    NAC,
    NACNMU,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    Dense,
    GatedNAUNMU,
    LiftedNPU,
    ModifiedRealNPU,
    NACMul,
    NACSigma,
    NaiveNPU,
    RealNaiveNPU,
    RealNPU,
    StochasticNMU,
)
from neural_arith.testing import LayerContract


def stir(layer, generator, **scales):
    """Move weights that start at a special value to general ones."""
    with torch.no_grad():
        for name, scale in scales.items():
            parameter = getattr(layer, name)
            draws = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.copy_(draws if name == "gate" else scale * (2 * draws - 1))
    return layer


def rows(tensor):
    return tensor.detach().double().tolist()


def squash(w, m):
    return mp.tanh(w) / (1 + mp.exp(-m))


def power(x, real, imaginary, gates):
    """Re prod r^(a + ib) e^(i k (a + ib)), zeros by cases."""
    log, zero = mp.mpc(0), mp.mpf(1)
    for value, a, b, g in zip(x, real, imaginary, gates, strict=True):
        size = mp.mpf(g) * abs(value) + 1 - mp.mpf(g)
        if size == 0:
            zero *= 0 if a > 0 else 1 if a == 0 else mp.inf
            continue
        log += mp.mpc(a, b) * mp.mpc(mp.log(size), mp.mpf(g) * mp.pi * (value < 0))
    return float(mp.re(mp.exp(log)) * zero)


def dot(row, x):
    return mp.fsum(mp.mpf(w) * v for w, v in zip(row, x, strict=True))


def select(row, x):
    return mp.fprod(mp.mpf(w) * v + 1 - mp.mpf(w) for w, v in zip(row, x, strict=True))


def floored(row, x):
    return mp.fprod(max(abs(mp.mpf(v)), mp.mpf(1e-7)) ** mp.mpf(w) for w, v in zip(row, x, strict=True))


def logistic(score):
    return 1 / (1 + mp.exp(-score))


class PowerContract(LayerContract):
    kind = RealNPU

    def make(self, in_features, out_features, generator=None, **options):
        layer = self.kind(in_features, out_features, generator=generator, **options)
        names = [name for name in ("wi", "gate") if getattr(layer, name) is not None]
        return stir(layer, generator, **dict.fromkeys(names, 0.3))

    def oracle(self, layer: Any, x):
        real = rows(layer.effective_weight())
        imaginary, gate = layer.effective_imaginary(), layer.effective_gate()
        imaginary = rows(torch.zeros_like(layer.effective_weight()) if imaginary is None else imaginary)
        gates = [1.0] * len(x) if gate is None else rows(gate)
        return [power(x, a, b, gates) for a, b in zip(real, imaginary, strict=True)]


class TestRealNPU(PowerContract):
    pass


class TestNPU(PowerContract):
    kind = NPU


class TestRealNaiveNPU(PowerContract):
    kind = RealNaiveNPU

    def make(self, in_features, out_features, generator=None, **options):
        layer = super().make(in_features, out_features, generator, **options)
        with torch.no_grad():  # among others exponents of each sign, zero, one and a half
            layer.wr[1] = torch.tensor([1.0, 2.0, 0.0])
            layer.wr[2] = torch.tensor([-1.0, 0.5, 1.0])
        return layer


class TestNaiveNPU(PowerContract):
    kind = NaiveNPU
    zeros = False  # an imaginary exponent without positive real part has no limit at zero, see test_layer_power


class TestOnlyPositive(PowerContract):
    signed = False

    def make(self, in_features, out_features, generator=None, **options):
        return super().make(in_features, out_features, generator, negative="positive", **options)


class TestLiftedNPU(PowerContract):
    kind = LiftedNPU
    zeros = False

    def oracle(self, layer: Any, x):
        lifted = [*x, *(mp.exp(v) for v in x), mp.e]
        return [
            power(lifted, a, b, [1.0] * len(lifted))
            for a, b in zip(rows(layer.effective_weight()), rows(layer.effective_imaginary()), strict=True)
        ]


class TestNAU(LayerContract):
    def make(self, in_features, out_features, **options):
        return NAU(in_features, out_features, **options)

    def oracle(self, layer, x):
        return [float(dot(row, x)) for row in rows(layer.weight)]


class TestClippedNAU(TestNAU):
    def make(self, in_features, out_features, **options):
        layer = NAU(in_features, out_features, clip=True, **options)
        with torch.no_grad():
            layer.weight[0] *= 0.5
        return layer


class TestNMU(LayerContract):
    def make(self, in_features, out_features, **options):
        return NMU(in_features, out_features, **options)

    def oracle(self, layer, x):
        return [float(select(row, x)) for row in rows(layer.weight)]


class TestStochasticNMU(TestNMU):
    def make(self, in_features, out_features, **options):
        return StochasticNMU(in_features, out_features, **options).eval()


class TestNACNMU(LayerContract):
    def make(self, in_features, out_features, **options):
        return NACNMU(in_features, out_features, **options)

    def oracle(self, layer, x):
        return [float(floored(row, x)) for row in rows(layer.weight)]


class TestNACSigma(LayerContract):
    def make(self, in_features, out_features, **options):
        return NACSigma(in_features, out_features, **options)

    def parameters_under(self, layer, mask):
        return [layer.get_parameter("w_hat")]

    def oracle(self, layer, x):
        return [float(floored([logistic(w) for w in row], x)) for row in rows(layer.w_hat)]


class TestNRU(LayerContract):
    sign = "joint"
    training = False

    def make(self, in_features, out_features, **options):
        return NRU(in_features, out_features, sign=self.sign, **options).train(self.training)

    def oracle(self, layer, x):
        outputs = []
        for row in rows(layer.weight):
            y = mp.mpf(1)
            for w, v in zip(map(mp.mpf, row), x, strict=True):
                share = mp.tanh(1000 * w) ** 2 if self.training else abs(w)
                power = abs(v) ** w if v else mp.inf if w < 0 else mp.mpf(0)
                if v < 0 and self.sign == "joint":
                    power = -power
                y *= share * power + 1 - share
                if v < 0 and self.sign == "separate":
                    y *= (-1) ** round(w)
            outputs.append(float(y))
        return outputs


class TestSeparateNRU(TestNRU):
    sign = "separate"

    def make(self, in_features, out_features, **options):
        layer = super().make(in_features, out_features, **options)
        with torch.no_grad():  # some round to 0, some to -1 or 1
            layer.weight.mul_(1.8)
        return layer


class TestTrainingNRU(TestNRU):
    training = True


class TestNMRU(LayerContract):
    def make(self, in_features, out_features, **options):
        return NMRU(in_features, out_features, **options)

    def oracle(self, layer, x):
        outputs = []
        for row in rows(layer.weight):
            times, over = row[: len(x)], row[len(x) :]
            inverse = [1 / abs(mp.mpf(v)) if v else mp.inf for v in x]
            size = select(times, [abs(mp.mpf(v)) for v in x]) * select(over, inverse)
            turn = mp.fsum((mp.mpf(a) + mp.mpf(b)) * (v < 0) for a, b, v in zip(times, over, x, strict=True))
            outputs.append(float(size * mp.cos(mp.pi * turn)))
        return outputs


class TestModifiedRealNPU(PowerContract):
    kind = ModifiedRealNPU


class DenseContract(LayerContract):
    activation: str

    def make(self, in_features, out_features, generator=None, **options):
        layer = Dense(in_features, out_features, activation=self.activation, generator=generator, **options)
        return stir(layer, generator, bias=0.5)

    def oracle(self, layer, x):
        sums = [dot(row, x) + mp.mpf(b) for row, b in zip(rows(layer.weight), rows(layer.bias), strict=True)]
        return [float(self.activate(z)) for z in sums]

    def activate(self, z):
        return z


class TestLinear(DenseContract):
    activation = "linear"


class TestReLU(DenseContract):
    activation = "relu"

    def activate(self, z):
        return z if z > 0 else 0


class TestReLU6(DenseContract):
    activation = "relu6"

    def activate(self, z):
        return 6 if z > 6 else z if z > 0 else 0


class TestSigmoid(DenseContract):
    activation = "sigmoid"

    def activate(self, z):
        return logistic(z)


class TestDenseWithoutBias(LayerContract):
    def make(self, in_features, out_features, **options):
        return Dense(in_features, out_features, bias=False, **options)

    def oracle(self, layer, x):
        return [float(dot(row, x)) for row in rows(layer.weight)]


class NACContract(LayerContract):
    def parameters_under(self, layer, mask):
        suffix = "_multiply" if mask == "multiply" else ""
        own = dict(layer.named_parameters())
        return [own[mask]] if mask in own else [own["w_hat" + suffix], own["m_hat" + suffix]]

    def weight(self, layer, suffix=""):
        pairs = zip(rows(getattr(layer, "w_hat" + suffix)), rows(getattr(layer, "m_hat" + suffix)), strict=True)
        return [[self.squash(a, b) for a, b in zip(*pair, strict=True)] for pair in pairs]

    def squash(self, w, m):
        return squash(w, m)


class TestNACMul(NACContract):
    def make(self, in_features, out_features, **options):
        return NACMul(in_features, out_features, **options)

    def oracle(self, layer, x):
        return [float(floored(row, x)) for row in self.weight(layer)]


class TestNAC(NACContract):
    def make(self, in_features, out_features, **options):
        return NAC(in_features, out_features, **options)

    def oracle(self, layer, x):
        return [float(dot(row, x)) for row in self.weight(layer)]


class TestNALU(NACContract):
    kind: ClassVar = NALU
    choices: ClassVar = {"weights": "shared", "gate": "input"}

    def make(self, in_features, out_features, generator=None, **options):
        layer = self.kind(in_features, out_features, generator=generator, **self.choices, **options)
        return stir(layer, generator, gate_bias=0.5)

    def oracle(self, layer: Any, x):
        add = self.weight(layer)
        multiply = add if layer.weights == "shared" else self.weight(layer, "_multiply")
        outputs = []
        for o in range(self.out_features):
            score = mp.mpf(layer.gate_bias[o].item())
            if layer.gate_weight is not None:
                score += dot(rows(layer.gate_weight)[o], x)
            gate = self.logistic(score)
            outputs.append(float(gate * dot(add[o], x) + (1 - gate) * floored(multiply[o], x)))
        return outputs

    def logistic(self, score):
        return logistic(score)


class TestSeparateNALU(TestNALU):
    choices: ClassVar = {"weights": "separate", "gate": "free"}


class TestGNALU(TestNALU):
    kind = GNALU

    def squash(self, w, m):
        return (mp.phi ** (2 * mp.mpf(w)) - 1) / (mp.phi ** (2 * mp.mpf(w)) + 1) / (1 + mp.phi ** -mp.mpf(m))

    def logistic(self, score):
        return 1 / (1 + mp.phi**-score)


class TestSeparateGNALU(TestGNALU):
    choices: ClassVar = {"weights": "separate", "gate": "free"}


class TestGatedNAUNMU(LayerContract):
    gate = "input"

    def make(self, in_features, out_features, generator=None, **options):
        layer = GatedNAUNMU(in_features, out_features, gate=self.gate, generator=generator, **options)
        return stir(layer, generator, gate_bias=0.5)

    def oracle(self, layer: Any, x):
        outputs = []
        for o in range(self.out_features):
            score = mp.mpf(layer.gate_bias[o].item())
            if layer.gate_weight is not None:
                score += dot(rows(layer.gate_weight)[o], x)
            gate = logistic(score)
            outputs.append(
                float(gate * dot(rows(layer.weight)[o], x) + (1 - gate) * select(rows(layer.multiply)[o], x))
            )
        return outputs


class TestFreeGatedNAUNMU(TestGatedNAUNMU):
    gate = "free"


class TestINALU(NACContract):
    weights = "independent"

    def make(self, in_features, out_features, generator=None, **options):
        layer = INALU(in_features, out_features, weights=self.weights, generator=generator, **options)
        return stir(layer, generator, gate_bias=0.5)

    def oracle(self, layer: Any, x):
        add = self.weight(layer)
        multiply = add if self.weights == "shared" else self.weight(layer, "_multiply")
        outputs = []
        for o in range(self.out_features):
            gate = 1 / (1 + mp.exp(-mp.mpf(layer.gate_bias[o].item())))
            log = mp.fsum(w * mp.log(max(abs(v), 1e-7)) for w, v in zip(multiply[o], x, strict=True))
            sign = mp.fprod(mp.sign(v) * abs(w) + 1 - abs(w) for w, v in zip(multiply[o], x, strict=True))
            product = mp.exp(min(log, 20)) * sign
            outputs.append(float(gate * dot(add[o], x) + (1 - gate) * product))
        return outputs


class TestSharedINALU(TestINALU):
    weights = "shared"


KINDS = [NAC, NALU, INALU, NAU, NMU, NPU, RealNPU, NaiveNPU, RealNaiveNPU, LiftedNPU, GNALU, GatedNAUNMU, NACMul]
KINDS += [NACNMU, NACSigma, StochasticNMU, NRU, NMRU, ModifiedRealNPU, Dense]


@pytest.mark.parametrize("kind", KINDS)
def test_one_input_one_output(kind):
    layer = kind(1, 1, generator=torch.Generator().manual_seed(0))
    assert layer(torch.tensor([[0.5], [2.0]])).shape == (2, 1)


@pytest.mark.parametrize("size", [0, -1, 2.0])
def test_sizes_must_be_positive_integers(size):
    with pytest.raises(ValueError, match="in_features must be a positive integer"):
        NAU(size, 1)
