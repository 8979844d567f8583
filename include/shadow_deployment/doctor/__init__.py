"""The doctor: whether everything that a deployment needs is there, with a remedy for what is not."""
