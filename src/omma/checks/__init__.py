"""What may be wrong with a dataset, one kind of fault a file."""
