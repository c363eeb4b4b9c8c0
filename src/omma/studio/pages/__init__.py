"""What each page asks of the server: one page a file, its addresses in TABLE."""
