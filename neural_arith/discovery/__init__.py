"""The discovery route: from trajectories to equations by a population of power units and a closed-form readout."""

from neural_arith.discovery.effort import Effort
from neural_arith.discovery.engine import discover
from neural_arith.discovery.measurements.knowledge import Knowledge
from neural_arith.discovery.measurements.noise import estimate_noise
from neural_arith.discovery.options import Options
from neural_arith.discovery.verdict.result import Candidate, Discovery, reactions_of
from neural_arith.discovery.verdict.summary import Summary, SummaryRow
from neural_arith.discovery.verdict.worth import Worth
from neural_arith.fit.noise import Noise
from neural_arith.terms.prior import Prior

__all__ = [
    "Candidate",
    "Discovery",
    "Effort",
    "Knowledge",
    "Noise",
    "Options",
    "Prior",
    "Summary",
    "SummaryRow",
    "Worth",
    "discover",
    "estimate_noise",
    "reactions_of",
]
