"""Query engines over files or a lake: statements exist once, in DuckDB's dialect, and an engine is one file."""
