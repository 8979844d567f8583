"""What is done with days that are past: a new challenger answers them, and what was computed of them is verified."""
