"""The suites of known systems: several methods, the same data, one table."""
