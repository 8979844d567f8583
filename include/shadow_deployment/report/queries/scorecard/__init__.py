"""What the page shows first: the scorecard, the evidence that it is read from, and the health line."""
