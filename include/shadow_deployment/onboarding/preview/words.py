"""A preview in words."""

from shadow_deployment.base.numbers import quantity
from shadow_deployment.data.ports import Access
from shadow_deployment.onboarding.preview.preview import LabelArrival, Preview
from shadow_deployment.onboarding.proposal.profile import duration

_SMALL = 20_000  # rows that are read in milliseconds
_UNITS = ("B", "kB", "MB", "GB", "TB")


def in_bytes(size: float) -> str:
    """Return a number of bytes with a unit."""
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.3g} {unit}"
        size /= 1000
    raise AssertionError


def requests_access(access: Access, time: str) -> str:
    """Return how a day's requests are read, and what would make that cheaper."""
    return _access(access, time, f"about {access.rows or 0:,} rows")


def labels_access(access: Access, column: str) -> str:
    """Return how labels are looked up, and what would make that cheaper."""
    return _access(access, column, "an id at a time")


def arrival(labels: LabelArrival) -> str:
    """Return which share of the requests has a label, and after how long."""
    text = f"{labels.share:.1%} of {labels.requests:,} requests have one"
    if labels.median_days is not None and labels.most_days is not None:
        text += f", half of them within {duration(labels.median_days)}, 99 % within {duration(labels.most_days)}"
    for count, what in ((labels.invalid, "are no label of the task"), (labels.early, "are known before their request")):
        text += f"; {count} {what}" if count else ""
    return text


def verdict_days(shown: Preview, challenger: str) -> str:
    """Return by when a challenger is decided, and how many days of the past can be run at once."""
    rules = [each for each in shown.horizons if each.challenger == challenger]
    planned = [each for each in rules if each.reason is None]
    if not planned:
        return "not known: no rule can be planned"
    if any(each.days is None for each in planned):
        slow = ", ".join(each.rule for each in planned if each.days is None)
        return f"never, by {slow}: raise sample.rate, or choose a larger margin"
    needed = max(each.days or 0 for each in planned)
    if not shown.past_counts:
        return f"{needed} live days with labels decide half of the histories; {shown.days_there} past ones only inform"
    return f"{needed} days with labels decide half of the histories; {shown.days_there} are there"


def _access(access: Access, column: str, by_index: str) -> str:
    if access.how == "index":
        return f"{access.table} by {f'index {access.name}' if access.name else 'an index'}, {by_index}"
    if access.how != "files":
        return _whole(access, column)
    if access.files is not None:
        return f"{quantity(access.files, 'file')} of {access.table}, {in_bytes(access.bytes or 0)}"
    return f"{access.table}, {'of unknown size' if access.bytes is None else f'about {in_bytes(access.bytes)}'}"


def _whole(access: Access, column: str) -> str:
    size = f"about {access.rows:,} rows" if access.rows else "of unknown size"
    if access.rows and access.rows < _SMALL:
        return f"the whole of {access.table}, {size}, each run, which is little"
    return f"the whole of {access.table}, {size}, each run; an index that begins with {column} spares production that"
