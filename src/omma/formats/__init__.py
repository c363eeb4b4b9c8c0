"""How a dataset lies on disk: one format a file."""
