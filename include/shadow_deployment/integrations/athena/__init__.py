"""Amazon Athena: queries, and the tables that they read; opened by `cloud` where a table is there."""
