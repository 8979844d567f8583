"""Texts that name single requests, and what is left of them for those who may see totals only."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from shadow_deployment.base.redaction import one_line

_HEADING: Final = "Requests on which the two disagree most"
_SECTION = re.compile(rf"^{_HEADING}\n(?:- .*\n)*\n?", re.MULTILINE)
_MISMATCH = re.compile(r"(features differ between serving and shadow: .*?, by up to \S+) \(.*")
_SMALL_SLICE = re.compile(r"^.*: mean difference in .* over \d+ days, \d requests.*\n", re.MULTILINE)


def features_differ(days: int, requests: tuple[int, int], largest: float, worst: Iterable[str]) -> str:
    """Return the reason of a failed replay check.

    Args:
        days: How many days differ.
        requests: Of the newest one, how many requests differ, and how many were checked.
        largest: The largest distance between the two predictions of a request.
        worst: The ids of the requests that differ most.
    """
    differing, checked = requests
    return (
        f"features differ between serving and shadow: on {days} days the champion's own model predicts otherwise than "
        f"the log, most recently for {differing} of {checked} requests, by up to {largest:.3g} "
        f"({', '.join(map(one_line, worst))})"
    )


def disagreements(lines: Sequence[str]) -> list[str]:
    """Return the section of an explanation that names the requests which the two predicted most differently."""
    return [_HEADING, *map(one_line, lines), ""] if lines else []


def without_requests(text: str) -> str:
    """Remove what names or describes single requests from a reason, a status or an explanation.

    The mean difference of a slice with fewer than ten of them describes these too.
    """
    return _MISMATCH.sub(r"\1", _SMALL_SLICE.sub("", _SECTION.sub("", text)))
