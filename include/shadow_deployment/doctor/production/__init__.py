"""The doctor on production: real requests, their labels and versions, indexes, and signs of a filtered log."""
