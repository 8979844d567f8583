"""Verdicts as pure functions of evidence: no database, no clock; `data` and everything above it may import it."""
