"""Why this answer: one method a file."""
