"""Production in Postgres; imported by `context` where a deployment's connection is a database."""
