"""What a verdict says: structured findings, and their words as plain text; whoever shows them escapes them."""
