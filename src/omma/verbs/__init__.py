"""What you can do: one file, one function, one command."""
