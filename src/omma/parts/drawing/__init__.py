"""What networks that draw pictures from chance, or pictures that look true, are made of and learn by."""
