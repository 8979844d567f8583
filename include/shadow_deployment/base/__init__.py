"""Tools without a domain: paths, SQL templates, prefetching, memory. Every other folder may import it."""
