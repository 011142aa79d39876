"""The arithmetic units against their literature: published tasks, metrics and bars, populations of seeds."""
