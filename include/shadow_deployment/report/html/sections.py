"""The sections of a validation report, in their order."""

from collections.abc import Sequence
from typing import Final

TO_BE_COMPLETED: Final = "to be completed"
SECTIONS: Final = {
    "summary": "Summary",
    "purpose": "Purpose and responsibility",
    "data": "Data and period",
    "sampling": "Sampling",
    "models": "Champion and challenger",
    "labels": "Labels",
    "method": "Method",
    "policy": "Policy",
    "results": "Results",
    "slices": "Slices",
    "completeness": "Left-out days, missing labels and unanswered requests",
    "limits": "Limits of the verdict",
    "monitoring": "Ongoing monitoring",
    "trials": "All trials",
    "decisions": "Approvals and changes",
    "verification": "Verification of the records",
    "elsewhere": "To be completed elsewhere",
    "provenance": "Provenance",
    "mapping": "Where to find what",
    "signatures": "Signatures",
}


def numbered(names: Sequence[str]) -> str:
    """Return sections by number and title, in the order of the report; ValueError for one that there is not."""
    order = list(SECTIONS)
    return ", ".join(f"{order.index(name) + 1} {SECTIONS[name]}" for name in sorted(names, key=order.index))
