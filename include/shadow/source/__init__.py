"""Production, read only: the champion's prediction log and the labels."""
