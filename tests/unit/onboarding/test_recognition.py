"""What is recognised in a table, and what is not: nothing is taken for something that it only may be."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from shadow_deployment.data.sources.table import Column
from shadow_deployment.onboarding.proposal import labels, recognition
from shadow_deployment.onboarding.proposal.labels import Matches
from shadow_deployment.onboarding.proposal.profile import Profile, duration, profiles_of

ROWS = 200
RANDOM = np.random.default_rng(20260301)
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
TIMES = [START + dt.timedelta(hours=hour) for hour in range(ROWS)]
SHARES = RANDOM.random(ROWS).tolist()


def profile(name: str, values: list[Any], kind: str = "number", type_: str = "") -> Profile:
    return Profile(name, type_ or {"time": "timestamp with time zone"}.get(kind, kind), kind, values)


def log(*profiles: Profile) -> dict[str, Profile]:
    return {each.name: each for each in profiles}


def texts(*values: str) -> list[Any]:
    return [values[number % len(values)] for number in range(ROWS)]


def test_words_of_a_name_are_found_in_every_style() -> None:
    assert profile("predictedAt", []).words == ["predicted", "at"]
    assert profile("REQUEST_ID", []).words == ["request", "id"]
    assert profile("eventNo", []).words == ["event", "no"]


def test_an_id_is_unique_and_named_so() -> None:
    numbers = list(range(ROWS))
    found = recognition.find_id(log(profile("age", numbers), profile("orderNo", numbers), profile("p", SHARES)))
    assert found
    assert (found.value, "also unique: age" in found.why) == ("orderNo", True)


def test_the_only_unique_column_is_the_id_whatever_its_name() -> None:
    found = recognition.find_id(
        log(profile("parcel", texts("a")), profile("ride", list(map(str, range(ROWS))), "text"))
    )
    assert found
    assert found.value == "ride"


def test_of_two_unique_columns_without_a_name_none_is_taken() -> None:
    numbers = list(range(ROWS))
    assert recognition.find_id(log(profile("left", numbers), profile("right", numbers))) is None


def test_the_time_of_a_request_rises_and_is_complete() -> None:
    shuffled = RANDOM.permutation(np.array(TIMES, object)).tolist()
    found = recognition.find_time(
        log(
            profile("created_at", shuffled, "time"),
            profile("scored_at", TIMES, "time"),
            profile("seen_at", [None, *TIMES[1:]], "time"),
        )
    )
    assert found
    assert (found.value, "rising from row to row" in found.why) == ("scored_at", True)


def test_a_time_without_a_zone_is_said_to_be_utc() -> None:
    found = recognition.find_time(log(profile("ts", TIMES, "time", "timestamp without time zone")))
    assert found
    assert "read as UTC" in found.why


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["p", "age_share"], "p"),
        (["champion_score", "other_score"], "champion_score"),
        (["pReturn", "altScore"], "pReturn"),
        (["score_a", "score_b"], None),
        (["share"], "share"),
        (["share", "ratio"], None),
    ],
)
def test_the_champions_probability_is_the_one_that_can_be_no_others(names: list[str], expected: str | None) -> None:
    found = recognition.find_probability(log(*(profile(name, SHARES) for name in names)), [])
    assert (found.value if found else None) == expected


def test_zeros_and_ones_are_no_probability() -> None:
    assert recognition.find_probability(log(profile("score", [0, 1] * (ROWS // 2))), []) is None


def test_probabilities_of_classes_add_up_to_one() -> None:
    rows = RANDOM.dirichlet([1, 1, 1], ROWS)
    own = [profile(f"p_{name}", rows[:, place].tolist()) for place, name in enumerate(("a", "b", "c"))]
    others = [profile(f"m_{name}", rows[:, place].tolist()) for place, name in enumerate(("a", "b", "c"))]
    half = [profile(f"q_{name}", (rows[:, place] / 2).tolist()) for place, name in enumerate(("a", "b", "c"))]
    found = recognition.find_probabilities(log(*own, *others, *half), [])
    assert found
    assert found.value == ["p_a", "p_b", "p_c"]
    features, left_out = recognition.find_features(log(*own, *others, profile("age", list(range(ROWS)))), found.value)
    assert features
    assert features.value == ["age"]
    assert "m_a (probabilities of another model)" in left_out


def test_features_are_what_a_model_can_learn_from() -> None:
    columns = log(
        profile("age", RANDOM.integers(18, 90, ROWS).tolist()),
        profile("plan", texts("a", "b"), "text"),
        profile("email", [f"{number}@example.com" for number in range(ROWS)], "text"),
        profile("new_score", SHARES),
        profile("nothing", [None] * ROWS),
        profile("build", texts("b17"), "text"),
        profile("seen_at", TIMES, "time"),
        profile("basket_id", list(range(ROWS))),
    )
    found, left_out = recognition.find_features(columns, [])
    assert found
    assert found.value == ["age", "plan"]
    assert sorted(left_out) == [
        "basket_id (an id)",
        "build (always the same)",
        "email (200 different texts)",
        "new_score (named as a prediction: a challenger of its own, as logged:new_score)",
        "nothing (always null)",
        "seen_at (a time)",
    ]


def test_a_rare_value_asks_for_strata() -> None:
    channel = profile("channel", ["kiosk", *["web", "app"] * (ROWS // 2)][:ROWS], "text")
    even = profile("plan", texts("a", "b"), "text")
    slices = recognition.find_slices(log(channel, even, profile("age", list(range(ROWS)))), [])
    assert slices
    assert slices.value == ["plan", "channel"]
    strata = recognition.find_strata(log(channel, even), slices.value)
    assert strata
    assert (strata.value, "kiosk is 0.5% of the rows" in strata.why) == (["channel"], True)
    assert recognition.find_strata(log(even), ["plan"]) is None


def test_what_is_known_with_the_label_only_is_found() -> None:
    label = profile("was_returned", [True, False] * (ROWS // 2), "boolean")
    columns = log(
        label, profile("state", texts("returned", "kept"), "text"), profile("plan", texts("a", "b", "c"), "text")
    )
    assert recognition.deciding(columns, "was_returned", ["was_returned"]) == ["state"]


TYPES = {
    int: ("integer", "integer", "N"),
    str: ("text", "text", "S"),
    bool: ("boolean", "boolean", "B"),
    dt.datetime: ("timestamptz", "timestamptz", "D"),
}


class Table:
    """Labels in memory."""

    name = "labels"

    def __init__(self, **columns: list[Any]) -> None:
        self.rows = columns
        first = {name: next(each for each in values if each is not None) for name, values in columns.items()}
        self.columns = {name: Column(name, *TYPES[type(value)]) for name, value in first.items()}

    def sample(self) -> dict[str, list[Any]]:
        return self.rows

    def matching(self, column: str, wanted: Any) -> dict[str, list[Any]]:
        places = [place for place, each in enumerate(self.rows[column]) if str(each) in set(wanted)]
        return {name: [values[place] for place in places] for name, values in self.rows.items()}

    def span(self, time: str) -> None:
        return None


REQUESTS = log(
    profile("order_no", [str(number) for number in range(ROWS)], "text"),
    profile("game", [f"g{number // 4}" for number in range(ROWS)], "text"),
    profile("asked", TIMES, "time"),
    profile("p", [0.9 if number % 2 else 0.1 for number in range(ROWS)]),
)
KNOWN = [at + dt.timedelta(days=1 + (number % 10)) for number, at in enumerate(TIMES)]
FEED = Table(
    ref=[number for number in range(ROWS) if number % 10],
    state=["late" if number % 2 else "fine" for number in range(ROWS) if number % 10],
    entered=[KNOWN[number] for number in range(ROWS) if number % 10],
)


def matched(table: Table, keys: list[str]) -> Matches | None:
    ids = {key: labels.some_ids(REQUESTS, key, "asked") for key in keys}
    return labels.match_labels(REQUESTS, table, profiles_of(table.columns, table.rows), ids, None)


def test_ids_are_looked_up_and_not_only_named() -> None:
    found = matched(FEED, ["order_no", "game"])
    assert found
    assert (found.key, found.column, len(found.ids), found.labelled) == ("order_no", "ref", 100, 90)
    assert set(map(int, found.ids)) == set(range(100)), "the older half"


def test_requests_that_share_a_label_are_matched_by_their_key() -> None:
    table = Table(game_code=[f"g{number}" for number in range(50)], won=[True, False] * 25, ended=KNOWN[:50])
    found = matched(table, ["order_no", *labels.shared_keys(REQUESTS, profiles_of(table.columns, table.rows), [])])
    assert found is None or found.key == "game"
    only = labels.match_labels(
        REQUESTS,
        table,
        profiles_of(table.columns, table.rows),
        {"game": labels.some_ids(REQUESTS, "game", "asked")},
        None,
    )
    assert only
    assert (only.key, only.column) == ("game", "game_code")


def test_labels_of_something_else_match_nothing() -> None:
    assert matched(Table(ride=["r1", "r2"], done=KNOWN[:2]), ["order_no"]) is None


def test_maturity_is_a_high_quantile_of_the_delays_that_are_seen() -> None:
    found = matched(FEED, ["order_no"])
    assert found
    profiles = profiles_of(FEED.columns, found.rows)
    delays = labels.delays_of(found, REQUESTS, "asked", profiles["entered"])
    assert delays == sorted(float(1 + number % 10) for number in range(100) if number % 10)
    maturity = labels.find_maturity(delays, found)
    assert maturity
    assert (maturity.value, "99% of 90 labels came within 10 days" in maturity.why) == (10, True)
    early = labels.find_maturity([-1.0, *delays], found)
    assert early
    assert "1 are known before their request" in early.why


def test_a_date_is_known_at_its_end() -> None:
    found = Matches("order_no", "ref", ["0"], {"ref": [0], "day": [START]})
    (delay,) = labels.delays_of(found, REQUESTS, "asked", profile("day", [START], "time", "date"))
    assert delay == 1.0


def test_the_task_is_what_the_labels_are() -> None:
    def task(values: list[Any], kind: str = "number") -> str | None:
        found = labels.find_task(profile("label", values, kind), REQUESTS, None)
        return found.value if found else None

    assert task([0, 1]) == "binary"
    assert task([True, False], "boolean") == "binary"
    assert task(["late", "fine"], "text") == "binary"
    assert task([1.5, 2.5, 9.0]) == "regression"
    assert labels.find_task(profile("label", ["a", "b", "c"], "text"), log(profile("age", [1, 2, 3])), None) is None


def test_the_positive_label_is_the_one_that_was_predicted_higher() -> None:
    found = matched(FEED, ["order_no"])
    assert found
    predicted = labels.mean_predictions(found, REQUESTS, "state", "p")
    assert predicted == {"late": pytest.approx(0.9), "fine": pytest.approx(0.1)}
    positive = labels.find_positive(profile("state", FEED.rows["state"], "text"), predicted)
    assert positive
    assert positive.value == "late"
    assert labels.find_positive(profile("state", ["yes", "no"], "text"), {}).value == "yes"  # type: ignore[union-attr]
    assert labels.find_positive(profile("state", ["ok", "off"], "text"), {}) is None


def test_classes_stand_in_the_order_of_their_columns() -> None:
    value = profile("queue", ["sales", "billing", "tech support"], "text")
    found = labels.order_of_classes(value, ["p_billing", "p_tech_support", "p_sales"])
    assert found
    assert found.value == ["billing", "tech support", "sales"]
    assert labels.order_of_classes(value, ["p_1", "p_2", "p_3"]) is None


@pytest.mark.parametrize(("days", "text"), [(0.03, "43.2 minutes"), (0.5, "12 hours"), (9.81, "9.81 days")])
def test_a_delay_is_read_in_its_own_unit(days: float, text: str) -> None:
    assert duration(days) == text
