"""What a deployment declares of production: its log, its labels, and the columns of JSON lines."""
