"""What counts as evidence, in units of 2 log likelihood, everywhere."""

STRONG = 6.0
"""Strong evidence (Kass & Raftery, 1995); less does not tell candidates apart."""
