"""The inside of any network, with a picture before it: what its layers give, where each number comes from, and what would change it."""
