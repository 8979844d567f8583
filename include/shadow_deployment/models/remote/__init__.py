"""Models behind a server: calls, retries and wire formats. Imported by `models.loading` and `integrations`."""
