"""What a deployment would do, before there is a ledger: a few days looked at, and what follows from them."""
