"""A deployment file proposed from tables: what is recognised, asked and measured, and how it is written."""
