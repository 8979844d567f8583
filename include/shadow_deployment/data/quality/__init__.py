"""Great Expectations on a day's inputs and predictions, in bounded memory; used by pipeline and ledger."""
