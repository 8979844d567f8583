"""Evidence that somebody chose after it was seen, by accident or on purpose: none of it ends in a silent PASS."""
