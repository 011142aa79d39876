"""The discovery route: from trajectories to equations by a population of power units and a closed-form readout."""

from neural_arith.discovery.discover import discover
from neural_arith.discovery.knowledge import Knowledge
from neural_arith.discovery.noise import Noise, estimate_noise
from neural_arith.discovery.options import Options
from neural_arith.discovery.reactions import reactions_of
from neural_arith.discovery.result import Candidate, Discovery
from neural_arith.discovery.worth import Worth

__all__ = [
    "Candidate",
    "Discovery",
    "Knowledge",
    "Noise",
    "Options",
    "Worth",
    "discover",
    "estimate_noise",
    "reactions_of",
]
