"""The arithmetic units against the literature: tasks, populations of seeds, closed-form fits."""
