"""What a page computes of what was read: drift, and decisions at a threshold."""
