"""Alerts: their text, whether to send one, and their delivery; imported by integrations, orchestration and cli."""
