"""Slices: all requests, or those with one value of a column."""

ALL = "all"


def slice_name(column: str, value: str) -> str:
    """Return the name of a slice: `all`, or column=value."""
    return ALL if column == ALL else f"{column}={value}"
