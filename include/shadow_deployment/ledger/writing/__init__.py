"""How rows of the ledger are written: as revisions, or replaced where no verdict rests on them; and locks."""
