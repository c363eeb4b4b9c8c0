"""When two pictures are near-duplicates: resized, recompressed, mirrored or cropped copies."""
