"""Smaller and faster copies: one method a file."""
