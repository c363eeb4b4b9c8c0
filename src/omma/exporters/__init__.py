"""Ways out of the house: one file format a file."""
