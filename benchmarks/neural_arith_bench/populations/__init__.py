"""Networks of one shape trained as one batch: all seeds and settings at once."""
