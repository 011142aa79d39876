"""What may stand in the equations: dictionaries, populations, shortlists, neighbours, exchanges."""
