"""What networks of the literature are made of: memories that are pictures, grids of boxes, trees of words."""
