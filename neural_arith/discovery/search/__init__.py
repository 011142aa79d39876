"""What is tried, in which order, and how it is judged."""
