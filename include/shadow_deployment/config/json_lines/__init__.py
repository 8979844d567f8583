"""What a deployment declares of JSON lines: their columns, and whose format they are in."""
