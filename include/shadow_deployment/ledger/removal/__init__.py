"""What is kept no longer: by retention whole days, by erasure requests of one subject; and the lines about it."""
