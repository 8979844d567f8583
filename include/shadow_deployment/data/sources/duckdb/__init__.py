"""Production in files, Parquet or JSON lines, read by DuckDB; imported by `context` where a table is files."""
