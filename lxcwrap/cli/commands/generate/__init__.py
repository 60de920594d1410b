"""Write files for other programs."""
