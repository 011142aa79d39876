"""What is concluded: the choice, its rivals, what is uncertain, what the user is told."""
