"""A trial in words, the first day its challenger cannot have learned from, and what of its terms has changed."""

import datetime as dt
from typing import Any

import pytest

from shadow_deployment.decision.trial import SERVICE, Trial, champion_in_words, difference

START = dt.date(2024, 3, 1)


def trial(**changes: Any) -> Trial:
    given: dict[str, Any] = {
        "id": 11,
        "number": 3,
        "kind": "challenger",
        "champion_version": "7",
        "terms": {},
        "rules_digest": "",
        "start": START,
        "batch": 2,
        "place": 2,
        "alpha": 0.0075991,
        "opened_because": "it is new",
        "opened_at": dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
        "trained_until": None,
        "seen_undeclared": 0,
    }
    return Trial(**given | changes)


@pytest.mark.parametrize(
    ("trained_until", "maturity", "first"),
    [
        (None, 3, START),
        (dt.date(2024, 2, 20), 3, START),
        (dt.date(2024, 3, 4), 3, dt.date(2024, 3, 7)),
        (dt.date(2024, 3, 4), 1, dt.date(2024, 3, 5)),
        (dt.date(2024, 3, 4), 0, dt.date(2024, 3, 5)),  # a day that was learned from never counts
    ],
)
def test_days_count_once_none_of_their_labels_may_have_been_learned_from(
    trained_until: dt.date | None, maturity: int, first: dt.date
) -> None:
    assert trial(trained_until=trained_until).first_trained_day(dt.timedelta(days=maturity)) == first


def test_a_trial_says_what_it_spends() -> None:
    assert str(trial()) == "trial 3, in batch 2, with alpha 0.0076 toward PASS"
    assert str(trial(batch=None, place=None)) == "trial 3, which spends no alpha"
    kinds = ("challenger", "a_a_check", "former_champion")
    assert [trial(kind=kind).is_of_a_challenger for kind in kinds] == [True, False, False]


def test_the_service_names_the_newest_versions_and_counts_the_others() -> None:
    assert champion_in_words("7", {"7": 4}) == "champion 7"
    assert champion_in_words(SERVICE) == champion_in_words(SERVICE, {}) == "whatever production serves"
    assert champion_in_words(SERVICE, {"7": 1}) == "whatever production serves (version 7 on 1 day)"
    five = {str(version): version for version in range(1, 6)}
    listed = "1 on 1 day, 2 on 2 days, 3 on 3 days, 4 on 4 days, 5 on 5 days"
    assert champion_in_words(SERVICE, five) == f"whatever production serves (versions {listed})"
    assert champion_in_words(SERVICE, {"0": 9, **five}) == (
        f"whatever production serves (1 earlier version, then versions {listed})"
    )


def test_what_has_changed_of_the_terms_is_named_in_their_order() -> None:
    terms = {"sampling": 1, "champion": 1, "requests": 1, "labels": 1, "inputs": None, "rules": 1, "metrics": {}}
    assert difference(terms, dict(terms)) == ""
    assert difference(terms, terms | {"labels": 2}) == "the label definition"
    changed = {"rules": 2, "sampling": 2, "inputs": "a suite"}
    assert difference(terms, terms | changed) == ("the sampling design and the suite of inputs and the blocking rules")
