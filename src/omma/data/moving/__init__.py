"""Moving pictures: read frame by frame, and written."""
