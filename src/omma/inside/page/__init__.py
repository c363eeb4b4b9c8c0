"""One page of a look inside: what it holds, how that is packed, and the script that shows it."""
