"""Arithmetic units as torch modules, ``(*batch, in_features)`` to ``(*batch, out_features)``."""

from neural_arith.layers import functional
from neural_arith.layers.additive import NAU
from neural_arith.layers.algebra.closed_form import ClosedForm
from neural_arith.layers.algebra.fitting import fit_closed_form
from neural_arith.layers.base import Layer
from neural_arith.layers.flat import FastChain, FastNAU, FastNPU, FastRealNPU
from neural_arith.layers.literature.baselines import Dense
from neural_arith.layers.literature.division import NMRU, NRU, ModifiedRealNPU
from neural_arith.layers.literature.gated import GNALU, INALU, NALU, GatedNAUNMU
from neural_arith.layers.literature.nac import NAC, NACNMU, NACMul, NACSigma
from neural_arith.layers.multiplicative import NMU, StochasticNMU
from neural_arith.layers.power import NPU, LiftedNPU, NaiveNPU, RealNaiveNPU, RealNPU

__all__ = [
    "GNALU",
    "INALU",
    "NAC",
    "NACNMU",
    "NALU",
    "NAU",
    "NMRU",
    "NMU",
    "NPU",
    "NRU",
    "ClosedForm",
    "Dense",
    "FastChain",
    "FastNAU",
    "FastNPU",
    "FastRealNPU",
    "GatedNAUNMU",
    "Layer",
    "LiftedNPU",
    "ModifiedRealNPU",
    "NACMul",
    "NACSigma",
    "NaiveNPU",
    "RealNPU",
    "RealNaiveNPU",
    "StochasticNMU",
    "fit_closed_form",
    "functional",
]
