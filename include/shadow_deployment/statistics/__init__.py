"""Confidence sequences and resampling on arrays alone; `decision` and everything above it may import it."""
