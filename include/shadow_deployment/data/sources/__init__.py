"""Where production's requests and labels lie: one folder a kind of source, opened by `context` alone."""
