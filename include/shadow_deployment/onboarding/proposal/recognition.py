"""Which column of a prediction log is what: by type, by name, and by a look at its rows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shadow_deployment.onboarding.proposal.interview import Answer
from shadow_deployment.onboarding.proposal.profile import Profile

Profiles = Mapping[str, Profile]

_PREDICTION: Final = (
    *("prediction", "predicted", "pred", "probability", "proba", "prob", "score", "p", "yhat", "estimate"),
    *("estimated", "forecast", "champion", "likelihood", "risk", "eta"),
)
_CHAMPION: Final = ("champion", "current", "served", "production", "prod", "live")
_OTHERS: Final = ("other", "challenger", "candidate", "new", "shadow", "rival", "alt", "alternative", "next")
_REQUEST_TIME: Final = (
    *("requested", "predicted", "asked", "scored", "request", "prediction", "created", "placed", "logged"),
    *("event", "time", "timestamp", "ts", "at", "date"),
)
_ID: Final = ("id", "uuid", "guid", "key", "no", "number", "nr", "ref", "reference")
_FEW: Final = 12  # values of a column that evidence is kept apart by
_MOST_SLICES: Final = 3
_RARE: Final = 0.05  # share of a value that a plain sample would hardly see
_FEATURE_TEXTS: Final = 50  # more different texts are names or notes, and no category


def find_id(profiles: Profiles) -> Answer | None:
    """Return the column that is unique in every row and is named as an id, or the only one that is unique."""
    unique = [each for each in profiles.values() if each.is_unique and (each.kind == "text" or each.is_whole)]
    named = sorted((each for each in unique if each.names(*_ID)), key=lambda each: each.rank(_ID))
    if not named and len(unique) != 1:
        return None
    chosen = (named or unique)[0]
    others = _also([each.name for each in unique if each is not chosen], "unique")
    reason = "named as an id and " if named else ""
    return Answer(chosen.name, f"{reason}different in each of {len(chosen.values):,} rows{others}")


def find_time(profiles: Profiles, words: Sequence[str] = _REQUEST_TIME) -> Answer | None:
    """Return the column of times that is complete, named as one of a request, and rising from row to row."""
    times = [each for each in profiles.values() if each.kind == "time" and each.known]
    if not times:
        return None
    ranked = sorted(times, key=lambda each: (not each.is_complete, not each.names(*words), each.rank(words)))
    rising = [each for each in ranked if each.is_rising and each.is_complete and each.names(*words)]
    chosen = (rising or ranked)[0]
    if len(times) > 1 and not chosen.names(*words):
        return None
    facts = [f"of type {chosen.type}"]
    facts += ["the only time"] if len(times) == 1 else ["named as the time of a request"]
    facts += ["rising from row to row"] if chosen.is_rising else []
    facts += [] if " with " in chosen.type or "tz" in chosen.type else ["read as UTC, since it has no time zone"]
    return Answer(chosen.name, ", ".join(facts) + _also([each.name for each in times if each is not chosen], "a time"))


def find_probabilities(profiles: Profiles, taken: Iterable[str]) -> Answer | None:
    """Return the columns whose numbers add up to 1 in every row; of several such groups the champion's."""
    groups = _groups(_free(profiles, taken))
    named = [each for each in groups if any(column.names(*_PREDICTION, *_CHAMPION) for column in each)]
    chosen = groups if len(groups) == 1 else named
    if len(chosen) != 1:
        return None
    names = [each.name for each in chosen[0]]
    others = _also([each.name for group in groups if group is not chosen[0] for each in group], "such a group")
    return Answer(names, f"these columns add up to 1 in each of {len(chosen[0][0].values):,} rows{others}")


def _groups(free: Sequence[Profile]) -> list[list[Profile]]:
    """Return the groups of three or more columns, alike in the first or last word, that add up to 1."""
    shares = [each for each in free if each.kind == "number" and _within(each, 0.0, 1.0)]
    for place in (0, -1):
        groups: dict[str, list[Profile]] = defaultdict(list)
        for each in shares:
            groups[each.words[place] if each.words else ""].append(each)
        adding_up = [columns for columns in groups.values() if len(columns) >= 3 and _add_up(columns)]
        if adding_up:
            return adding_up
    return []


def find_probability(profiles: Profiles, taken: Iterable[str]) -> Answer | None:
    """Return the column of numbers from 0 to 1 that is named as a prediction, or the only such column."""
    shares = [each for each in _free(profiles, taken) if each.is_share]
    named = [each for each in shares if each.names(*_PREDICTION)]
    if not named and len(shares) == 1:
        return Answer(shares[0].name, f"the only column of numbers from 0 to 1, {_range(shares[0])}")
    return _champions(named)


def find_number(profiles: Profiles, taken: Iterable[str]) -> Answer | None:
    """Return the number that is named as a prediction."""
    numbers = [each for each in _free(profiles, taken) if each.kind == "number" and len(each.counts) > 2]
    return _champions([each for each in numbers if each.names(*_PREDICTION)])


def find_version(profiles: Profiles, taken: Iterable[str]) -> Answer | None:
    """Return the column with few values that is named as a version, or as a model."""
    few = [each for each in _free(profiles, taken) if each.kind in ("text", "number") and 1 <= len(each.counts) <= 20]
    for word in ("version", "model", "build", "release", "revision"):
        for each in few:
            if each.names(word) and (each.kind == "text" or each.is_whole):
                values = _listed([str(value) for value, _ in each.counts.most_common(3)])
                return Answer(each.name, f"named as a version, with {len(each.counts)} in these rows: {values}")
    return None


def find_latency(profiles: Profiles, taken: Iterable[str]) -> Answer | None:
    """Return the number above 0 that is named as a latency in milliseconds."""
    for each in _free(profiles, taken):
        is_duration = each.kind == "number" and each.known and min(each.known) >= 0
        if is_duration and (each.names("latency") or (each.names("ms", "millis") and each.names("took", "duration"))):
            return Answer(each.name, f"named as a latency; median {sorted(each.known)[len(each.known) // 2]:.3g} ms")
    return None


def find_features(profiles: Profiles, taken: Iterable[str]) -> tuple[Answer | None, list[str]]:
    """Return the other columns that a model can learn from, and of each that is left out why."""
    features, left_out = [], []
    free = _free(profiles, taken)
    grouped = {each.name: "probabilities of another model" for group in _groups(free) for each in group}
    for each in free:
        if reason := grouped.get(each.name) or _no_feature(each):
            left_out.append(f"{each.name} ({reason})")
        else:
            features.append(each.name)
    why = "the other columns that are numbers, booleans or categories"
    return (Answer(features, why) if features else None), left_out


def find_slices(profiles: Profiles, taken: Iterable[str]) -> Answer | None:
    """Return up to three columns with few values, text before numbers."""
    few = [each for each in _free(profiles, taken) if _is_category(each)]
    chosen = sorted(few, key=lambda each: (each.kind == "number", len(each.counts)))[:_MOST_SLICES]
    if not chosen:
        return None
    sizes = ", ".join(f"{each.name} has {len(each.counts)}" for each in chosen)
    return Answer([each.name for each in chosen], f"columns with few values: {sizes}")


def find_strata(profiles: Profiles, names: Sequence[str]) -> Answer | None:
    """Return the column among slices whose rarest value a plain sample would hardly see."""
    for name in names:
        counts, rows = profiles[name].counts, len(profiles[name].values)
        value, rarest = min(counts.items(), key=lambda item: item[1])
        if rows and rarest < _RARE * rows:
            return Answer([name], f"{value!s} is {rarest / rows:.1%} of the rows: a plain sample would hardly see it")
    return None


def _no_feature(profile: Profile) -> str:
    is_prediction = profile.kind == "number" and profile.names(*_PREDICTION) and not profile.is_whole
    reasons = {
        "always null": not profile.known,
        "always the same": len(profile.counts) == 1 and profile.is_complete,
        f"named as a prediction: a challenger of its own, as logged:{profile.name}": is_prediction,
        f"{len(profile.counts):,} different texts": profile.kind == "text" and len(profile.counts) > _FEATURE_TEXTS,
        "a time": profile.kind == "time",
        "an id": profile.is_unique and profile.is_whole and profile.names(*_ID),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _is_category(profile: Profile) -> bool:
    is_countable = profile.kind in ("text", "boolean") or profile.is_whole
    most = _FEW if profile.kind != "number" else _FEW // 2
    return is_countable and 2 <= len(profile.counts) <= most


def _free(profiles: Profiles, taken: Iterable[str]) -> list[Profile]:
    names = set(taken)
    return [each for name, each in profiles.items() if name not in names]


def _within(profile: Profile, low: float, high: float) -> bool:
    return bool(profile.known) and all(low <= each <= high for each in profile.known)


def _add_up(columns: Sequence[Profile]) -> bool:
    rows: list[tuple[Any, ...]] = list(zip(*(each.values for each in columns), strict=True))
    whole = [row for row in rows if None not in row]
    return bool(whole) and all(abs(sum(map(float, row)) - 1) < 0.001 for row in whole)


def deciding(profiles: Profiles, label: str, taken: Iterable[str]) -> list[str]:
    """Return the columns with few values each of which has one label only: they are known with the label."""
    return [
        each.name
        for each in _free(profiles, taken)
        if 2 <= len(each.counts) <= _FEW
        and len(set(zip(each.values, profiles[label].values, strict=True))) == len(set(each.values))
    ]


def _champions(named: Sequence[Profile]) -> Answer | None:
    """Return the one prediction that is the champion's: named so, or the only one not named as another model's."""
    own = [each for each in named if each.names(*_CHAMPION)] or [each for each in named if not each.names(*_OTHERS)]
    if len(own) != 1:
        return None
    others = _also([each.name for each in named if each is not own[0]], "a prediction by its name")
    return Answer(own[0].name, f"named as a prediction, {_range(own[0])}{others}")


def _range(profile: Profile) -> str:
    return f"from {min(profile.known):.4g} to {max(profile.known):.4g}"


def _also(names: Sequence[str], what: str) -> str:
    return f"; also {what}: {_listed(names)}" if names else ""


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
