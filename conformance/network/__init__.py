"""What Area 4 asks of the way from a gateway to its broker."""
