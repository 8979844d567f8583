"""What the ledger holds, compared with what it must be: the hash chain, evidence, requests, verdicts."""
