"""Production and everything else outside the ledger: sources, snapshots, documents, quality. Used from `ledger` up."""
