"""Tables of production that nobody has described yet: their columns, and a look at a few rows.

A new kind is a file with a `ProductionTable` and a branch in `open_table`.
"""
