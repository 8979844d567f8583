"""The page on a deployment: what the ledger says as plain facts, and how they are shown."""
