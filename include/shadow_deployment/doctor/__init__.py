"""The doctor: whether everything a deployment needs is there. Imports every room below; only cli and orchestration import it."""
