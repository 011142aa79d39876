"""Units as the literature published them, kept for comparison: for new work stack NAU, NMU and power units."""
