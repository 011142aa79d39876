"""Find the differential equations behind trajectories with networks whose weights are the equation."""

__version__ = "0.1.0"
