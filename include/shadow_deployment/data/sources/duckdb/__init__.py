"""Production in Parquet files, read by DuckDB; imported by `context` where a deployment's table is `parquet:`."""
