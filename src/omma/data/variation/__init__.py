"""How training pictures vary: whole batches at once, the same for the same seed."""
