"""What brings data here: one file from the network, the members of an archive."""
