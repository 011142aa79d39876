"""The tasks on which arithmetic units were published, as data, and the metrics by which they were judged."""
