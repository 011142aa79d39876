"""What was measured: noise, smooth curves, units of measurement, and what is known before any equation."""
