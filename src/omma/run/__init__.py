"""One training run on disk: from a dataset to a bundle."""
