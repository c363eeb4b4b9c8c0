"""What can be learned: one file, one task."""
