"""From somebody's own tables to a deployment: what is recognised in them, and what a first run would do."""
