"""How learning happens, whatever is learned."""
