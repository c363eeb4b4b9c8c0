"""How each kind of picture file is read: headers first, pixels after."""
