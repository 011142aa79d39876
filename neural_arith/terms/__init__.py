"""What a candidate is, as plain data: units, structures of units, what naming them costs."""
