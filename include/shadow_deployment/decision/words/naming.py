"""Texts that leave the ledger: what they say of single requests, which is nothing."""

import re
from typing import Final

_SMALL_SLICE: Final = re.compile(r"^.*: mean difference in .* over \d+ (day|week)s?, \d requests.*\n", re.MULTILINE)


def features_differ(days: str, requests: tuple[int, int], largest: float) -> str:
    """Return the reason of a failed replay check.

    Args:
        days: How many days or weeks differ, in words.
        requests: Of the newest one, how many requests differ, and how many were checked.
        largest: The largest distance between the two predictions of a request.
    """
    differing, checked = requests
    return (
        f"features differ between serving and shadow: on {days} the champion's own model predicts otherwise than "
        f"the log, most recently for {differing} of {checked} requests, by up to {largest:.3g}; "
        "shadow.newest_replay_check has the worst of them"
    )


def without_small_slices(text: str) -> str:
    """Remove the mean differences of slices with fewer than ten requests, which describe single ones."""
    return _SMALL_SLICE.sub("", text)
