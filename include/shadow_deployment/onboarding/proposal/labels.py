"""Which column of the labels is what: ids are looked up, delays are measured, and values say what the task is."""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from shadow_deployment.onboarding.proposal.interview import Answer
from shadow_deployment.onboarding.proposal.profile import (
    Profile,
    days_between_moments,
    duration,
    profiles_of,
    text_of_value,
)
from shadow_deployment.onboarding.proposal.recognition import Profiles
from shadow_deployment.onboarding.tables.port import ProductionTable, Values

LOOKED_UP: Final = 300  # ids of requests
QUANTILE: Final = 0.99
_LEAST_SHARE: Final = 0.01  # of ids that must be found for a column to be theirs
_MOST_TRIED: Final = 4
_IDS: Final = ("id", "uuid", "key", "no", "number", "nr", "ref", "reference", "code")
_VALUE: Final = (
    *("label", "target", "outcome", "truth", "actual", "result", "y", "is", "was", "has", "value", "status"),
    *("class", "category", "state", "answer"),
)
_KNOWN: Final = (
    *("known", "labelled", "labeled", "observed", "recorded", "resolved", "updated", "reported", "confirmed"),
    *("finished", "closed", "delivered", "returned", "at", "time", "timestamp", "ts", "date", "on"),
)
_YES: Final = {"1", "yes", "y", "true", "t", "positive", "pos"}


@dataclass(frozen=True)
class Matches:
    """What the labels have for some ids: the column of the log, the one of the labels, the ids, and rows by column."""

    key: str
    column: str
    ids: Sequence[str]
    rows: Values

    @property
    def labelled(self) -> int:
        """How many of the ids have a label."""
        return len({text_of_value(each) for each in self.rows[self.column]} & set(self.ids))

    @property
    def share(self) -> float:
        """The share of the ids that have a label."""
        return self.labelled / len(self.ids) if self.ids else 0.0


def some_ids(log: Profiles, column: str, time: str) -> list[str]:
    """Return ids of the older half of the rows, whose labels have had time to arrive."""
    rows = sorted(
        (at, text_of_value(id_))
        for at, id_ in zip(log[time].values, log[column].values, strict=True)
        if at is not None and id_ is not None
    )
    older = list(dict.fromkeys(id_ for _, id_ in rows[: max(len(rows) // 2, min(len(rows), 20))]))
    step = max(len(older) // LOOKED_UP, 1)
    return older[::step][:LOOKED_UP]


def match_labels(
    log: Profiles, table: ProductionTable, labels: Profiles, ids: Mapping[str, Sequence[str]], only: str | None
) -> Matches | None:
    """Return the first column of the labels that ids of the log are found in.

    Args:
        log: The columns of the log.
        table: The labels, and `labels` their columns.
        ids: Ids of requests by the column of the log that holds them, the likeliest first.
        only: The one column of the labels to look in, None for any.
    """
    for key, texts in ids.items():
        for column in [only] if only else _candidates(log[key], labels):
            matches = Matches(key, column, texts, table.matching(column, texts))
            if matches.share >= _LEAST_SHARE:
                return matches
    return None


def shared_keys(log: Profiles, labels: Profiles, taken: Sequence[str]) -> list[str]:
    """Return columns of the log, but for `taken`, that may be what its requests share a label by."""
    keys = [
        each
        for name, each in log.items()
        if name not in taken and (each.kind == "text" or each.is_whole) and (each.names(*_IDS) or name in labels)
    ]
    return [each.name for each in sorted(keys, key=lambda each: each.name not in labels)[:_MOST_TRIED]]


def find_value(labels: Profiles, taken: Sequence[str]) -> Answer | None:
    """Return the column of the label: named as one, or the only one that is neither id nor time."""
    free = [each for name, each in labels.items() if name not in taken and each.kind != "time" and each.known]
    named = sorted((each for each in free if each.names(*_VALUE)), key=lambda each: each.rank(_VALUE))
    if not named and len(free) != 1:
        booleans = [each for each in free if each.kind == "boolean"]
        if len(booleans) != 1:
            return None
        return Answer(booleans[0].name, "the only boolean column")
    chosen = (named or free)[0]
    others = [each.name for each in free if each is not chosen]
    why = "named as a label" if named else "the only column that is neither id nor time"
    return Answer(chosen.name, why + (f"; other columns: {', '.join(others[:6])}" if others else ""))


def find_known_time(matches: Matches, log: Profiles, labels: Profiles, request_time: str) -> Answer | None:
    """Return the column of the time at which a label became known: after its request, and named so."""
    times = [each for each in labels.values() if each.kind == "time" and each.known]
    if matches.column == matches.key and len(times) > 1:
        times = [each for each in times if each.name != request_time] or times
    ranked = []
    for each in times:
        delays = delays_of(matches, log, request_time, each)
        late = sum(delay >= 0 for delay in delays) / len(delays) if delays else 0.0
        ranked.append((-round(late, 1), each.rank(_KNOWN), each.name, late, len(delays)))
    if not ranked:
        return None
    _, _, name, late, count = min(ranked)
    if len(times) > 1 and late < 0.5:
        return None
    others = [each.name for each in times if each.name != name]
    also = f"; other times: {', '.join(others[:4])}" if others else ""
    return Answer(name, f"after the request for {late:.0%} of {count} labels that were looked up{also}")


def delays_of(matches: Matches, log: Profiles, request_time: str, known: Profile) -> list[float]:
    """Return the delays of labels in days, in order; a date means the end of that day."""
    moments: dict[str, list[dt.datetime]] = defaultdict(list)
    for id_, at in zip(log[matches.key].values, log[request_time].values, strict=True):
        if id_ is not None and at is not None:
            moments[text_of_value(id_)].append(at)
    whole_day = dt.timedelta(days=1 if known.type == "date" else 0)
    return days_between_moments(
        (requested, at + whole_day)
        for id_, at in zip(matches.rows[matches.column], matches.rows[known.name], strict=True)
        for requested in moments.get(text_of_value(id_), ())
        if at is not None
    )


def find_maturity(delays: Sequence[float], matches: Matches) -> Answer | None:
    """Return the days by which nearly all labels had arrived, of requests that are old enough."""
    late = [each for each in delays if each >= 0]
    if not late:
        return None
    high = late[min(math.ceil(QUANTILE * len(late)), len(late)) - 1]
    early = len(delays) - len(late)
    why = (
        f"{QUANTILE:.0%} of {len(late)} labels came within {duration(high)}, half within {duration(median(late))}; "
        f"{matches.labelled} of {len(matches.ids)} older ids have one"
    )
    if early:
        why += f"; {early} are known before their request, and never evidence"
    return Answer(max(math.ceil(high), 1), why)


def find_task(value: Profile, log: Profiles, probabilities: Answer | None) -> Answer | None:
    """Return the task that a label's values make."""
    counts = value.counts
    shown = ", ".join(text_of_value(each) for each, _ in counts.most_common(4))
    if probabilities is not None and len(counts) <= len(probabilities.value):
        return Answer(
            "multiclass", f"{value.name} has {len(counts)} values, as {shown}, and the log a probability each"
        )
    if value.kind == "boolean" or (value.kind == "number" and set(counts) <= {0, 1}):
        return Answer("binary", f"{value.name} is {'a boolean' if value.kind == 'boolean' else '0 or 1'}")
    if value.kind == "number":
        low, high = min(counts, default=0), max(counts, default=0)
        return Answer("regression", f"{value.name} is a number from {low:.4g} to {high:.4g}")
    if len(counts) == 2 or any(each.is_share for each in log.values()):
        return Answer("binary", f"{value.name} is text: {shown}")
    return None


def find_positive(value: Profile, predicted: Mapping[Any, float]) -> Answer | None:
    """Return the text that means 1: the one whose requests were predicted higher, or a word for yes.

    Args:
        value: The label.
        predicted: The mean prediction of the requests of each value.
    """
    if value.kind != "text":
        return None
    known = {each: mean for each, mean in predicted.items() if each in value.counts}
    if len(known) >= 2:
        first, second = sorted(known, key=lambda each: -known[each])[:2]
        return Answer(
            first,
            f"its requests were predicted {known[first]:.3g} on average, those of {second} {known[second]:.3g}",
        )
    words = [each for each in value.counts if each.lower() in _YES]
    return Answer(words[0], "a word for yes") if len(words) == 1 else None


def mean_predictions(matches: Matches, log: Profiles, value: str, prediction: str) -> dict[Any, float]:
    """Return the mean prediction of the requests of each label."""
    numbers = {
        text_of_value(id_): float(number)
        for id_, number in zip(log[matches.key].values, log[prediction].values, strict=True)
        if id_ is not None and number is not None
    }
    groups: dict[Any, list[float]] = defaultdict(list)
    for id_, label in zip(matches.rows[matches.column], matches.rows[value], strict=True):
        if label is not None and text_of_value(id_) in numbers:
            groups[label].append(numbers[text_of_value(id_)])
    return {label: sum(each) / len(each) for label, each in groups.items()}


def order_of_classes(value: Profile, columns: Sequence[str]) -> Answer | None:
    """Return the classes in the order of the columns of their probabilities, whose names contain theirs."""
    classes = {"".join(filter(str.isalnum, text_of_value(each).lower())): text_of_value(each) for each in value.counts}
    order = []
    for column in columns:
        plain = "".join(filter(str.isalnum, column.lower()))
        fitting = sorted((key for key in classes if key and plain.endswith(key)), key=len)
        fitting = fitting or sorted((key for key in classes if key and key in plain), key=len)
        if not fitting:
            return None
        order.append(classes[fitting[-1]])
    return Answer(order, "each named in its column of probabilities") if len(set(order)) == len(columns) else None


def matched_profiles(table: ProductionTable, matches: Matches, labels: Profiles) -> Profiles:
    """Return the columns of the labels by the rows that were looked up, those of the sample where they are too few."""
    profiles = profiles_of(table.columns, matches.rows)
    return profiles if matches.labelled >= 20 else labels


def _candidates(key: Profile, labels: Profiles) -> list[str]:
    """Return columns of the labels that may hold the values of a column of the log, the likeliest first."""
    fitting = [each for each in labels.values() if each.kind == "text" or each.is_whole]

    def order(each: Profile) -> tuple[bool, ...]:
        return each.name != key.name, not each.names(*_IDS), len(each.counts) < 3, each.kind != key.kind

    return [each.name for each in sorted(fitting, key=order)][:_MOST_TRIED]
