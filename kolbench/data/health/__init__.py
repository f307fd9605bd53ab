"""What may be wrong with a data set: `task=doctor`."""
