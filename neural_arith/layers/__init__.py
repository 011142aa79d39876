"""Arithmetic units as torch modules, ``(*batch, in_features)`` to ``(*batch, out_features)``."""

from neural_arith.layers import functional
from neural_arith.layers.additive import NAC, NAU
from neural_arith.layers.base import Layer
from neural_arith.layers.closed_form import ClosedForm
from neural_arith.layers.fitting import fit_closed_form
from neural_arith.layers.flat import FastChain, FastNAU, FastNPU, FastRealNPU
from neural_arith.layers.gated import INALU, NALU
from neural_arith.layers.multiplicative import NMU
from neural_arith.layers.power import NPU, LiftedNPU, NaiveNPU, RealNaiveNPU, RealNPU

__all__ = [
    "INALU",
    "NAC",
    "NALU",
    "NAU",
    "NMU",
    "NPU",
    "ClosedForm",
    "FastChain",
    "FastNAU",
    "FastNPU",
    "FastRealNPU",
    "Layer",
    "LiftedNPU",
    "NaiveNPU",
    "RealNPU",
    "RealNaiveNPU",
    "fit_closed_form",
    "functional",
]
