"""How many requests each stratum gives, with which probability, and what makes a sampling design another one."""

import datetime as dt
import hashlib
import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_deployment.config.deployment import Sample
from shadow_deployment.data.sampling import HASHES, Draw, allocate, design, digest
from shadow_deployment.errors import SourceError
from tests.builders import a_deployment

POPULATIONS = st.dictionaries(st.text("ABC", min_size=1, max_size=4), st.integers(0, 100_000), max_size=12)
SHARES = st.floats(0.001, 1)


def sizes(population: dict[str, int], **sample: Any) -> dict[str, int]:
    return {draw.stratum: draw.size for draw in allocate(Sample(**{"rate": 1.0} | sample), population)}


@pytest.mark.parametrize(
    ("population", "sample", "expected"),
    [
        ({"a": 10, "b": 4}, {"rate": 0.5}, {"a": 5, "b": 2}),
        ({"a": 11}, {"rate": 0.5}, {"a": 6}),
        ({"a": 1}, {"rate": 0.001}, {"a": 1}),
        ({"a": 100, "b": 1100}, {"rate": 0.07}, {"a": 7, "b": 77}),
        ({"a": 100}, {"rate": 0.1, "rates": {"a": 0.29}}, {"a": 29}),
        ({"a": 10, "b": 4}, {"rate": 1.0}, {"a": 10, "b": 4}),
        ({"a": 10, "b": 4}, {"rate": 0.5, "rates": {"b": 1.0}}, {"a": 5, "b": 4}),
        ({"a": 1000, "b": 50, "c": 7}, {"rate": 0.1, "minimum_per_stratum": 20}, {"a": 100, "b": 20, "c": 7}),
        ({"a": 10_000_000}, {"rate": 0.07, "max_rows": 10_000_000}, {"a": 700_000}),
        ({"a": 10_000_000}, {"rate": 0.0700000001, "max_rows": 10_000_000}, {"a": 700_001}),
        ({"a": 30, "b": 4}, {"rate": 0.1, "minimum_per_stratum": 3}, {"a": 3, "b": 3}),
        ({"b": 3, "a": 0}, {}, {"b": 3}),
        ({}, {}, {}),
    ],
)
def test_a_stratum_gives_its_rate_and_at_least_the_minimum(
    population: dict[str, int], sample: dict[str, Any], expected: dict[str, int]
) -> None:
    assert sizes(population, **sample) == expected


@pytest.mark.parametrize(
    ("population", "most", "expected"),
    [
        ({"a": 1000, "b": 1000, "c": 1000}, 4, {"a": 2, "b": 1, "c": 1}),
        ({"a": 1_000_000, "b": 1}, 10, {"a": 9, "b": 1}),
        ({"a": 5, "b": 5}, 10, {"a": 5, "b": 5}),
        ({"a": 5, "b": 5}, 2, {"a": 1, "b": 1}),
        ({"a": 1, "b": 1}, 2, {"a": 1, "b": 1}),
        ({"a": 7}, 3, {"a": 3}),
        ({"b": 1000, "a": 1000, "c": 1000}, 5, {"a": 2, "b": 2, "c": 1}),
        ({"a": 11, "b": 21, "c": 31}, 9, {"a": 2, "b": 3, "c": 4}),
        ({"a": 4, "b": 6}, 7, {"a": 3, "b": 4}),
        ({"a": 6, "b": 4}, 7, {"a": 4, "b": 3}),
        ({"a": 1, "b": 2, "c": 9}, 11, {"a": 1, "b": 2, "c": 8}),
        ({"a": 101, "b": 2, "c": 2}, 53, {"a": 50, "b": 2, "c": 1}),
        ({"a": 1, "b": 3, "c": 3}, 6, {"a": 1, "b": 3, "c": 2}),
        ({"a": 7, "b": 9, "c": 12}, 26, {"a": 7, "b": 8, "c": 11}),
    ],
)
def test_strata_share_the_cap_in_proportion_and_none_is_left_out(
    population: dict[str, int], most: int, expected: dict[str, int]
) -> None:
    assert sizes(population, max_rows=most) == expected


@pytest.mark.parametrize(
    ("rates", "expected"), [({}, {"a": 900, "b": 100}), ({"a": 0.1, "b": 0.9}, {"a": 500, "b": 500})]
)
def test_the_cap_is_shared_in_proportion_to_what_was_wanted(rates: dict[str, float], expected: dict[str, int]) -> None:
    assert sizes({"a": 90_000, "b": 10_000}, rates=rates, max_rows=1000) == pytest.approx(expected, abs=1)


def test_a_draw_knows_out_of_how_many_it_was_drawn() -> None:
    population = {"b": 40, "a": 5, "empty": 0}
    assert allocate(Sample(rate=0.2), population) == [Draw("a", 5, 1), Draw("b", 40, 8)]
    assert allocate(Sample(rate=1.0, max_rows=9), population) == [Draw("a", 5, 2), Draw("b", 40, 7)]


def test_more_strata_than_the_cap_are_refused() -> None:
    with pytest.raises(SourceError) as caught:
        sizes({"a": 1, "b": 1, "c": 1, "empty": 0}, max_rows=2, strata=["origin", "carrier"])
    assert str(caught.value) == (
        "sample.max_rows == 2, must be at least 3, the number of strata that origin and carrier make in this window"
    )


@given(
    population=POPULATIONS,
    rate=SHARES,
    rates=st.dictionaries(st.text("ABC", min_size=1, max_size=4), SHARES, max_size=4),
    minimum=st.integers(0, 200),
    most=st.integers(12, 100_000),
)
@settings(max_examples=50)
def test_whatever_the_population_a_draw_is_complete_bounded_and_honest(
    population: dict[str, int], rate: float, rates: dict[str, float], minimum: int, most: int
) -> None:
    draws = allocate(Sample(rate=rate, rates=rates, minimum_per_stratum=minimum, max_rows=most), population)
    assert [draw.stratum for draw in draws] == sorted(name for name, count in population.items() if count)
    wanted = 0
    for draw in draws:
        assert draw.population == population[draw.stratum]
        assert 1 <= draw.size <= draw.population
        assert draw.probability == draw.size / draw.population
        share = rates.get(draw.stratum, rate) * draw.population - 5e-10  # what rounding adds draws nobody
        wanted += min(draw.population, max(math.ceil(share), minimum))
    assert sum(draw.size for draw in draws) == min(wanted, most)


@given(population=POPULATIONS, rates=st.tuples(SHARES, SHARES), minimum=st.integers(0, 200))
@settings(max_examples=50)
def test_a_smaller_rate_draws_a_part_of_what_a_larger_one_draws(
    population: dict[str, int], rates: tuple[float, float], minimum: int
) -> None:
    fewer = sizes(population, rate=min(rates), minimum_per_stratum=minimum, max_rows=10_000_000)
    more = sizes(population, rate=max(rates), minimum_per_stratum=minimum, max_rows=10_000_000)
    assert all(fewer[name] <= more[name] for name in more)


@pytest.mark.parametrize(
    ("population", "size"), [(1, 1), (10, 1), (10, 9), (500, 5), (5000, 1), (5000, 2500), (5000, 4999)]
)
def test_the_draw_lies_below_the_hash_that_candidates_names(population: int, size: int) -> None:
    digests = [hashlib.sha256(f"salt:{request}".encode()).digest() for request in range(population)]
    hashes = sorted(int.from_bytes(one) >> (256 - 52) for one in digests)
    candidates = Draw("all", population, size).candidates
    assert hashes[size - 1] < candidates <= HASHES
    assert sum(one < candidates for one in hashes) <= size + 7 * math.sqrt(population) + 30  # and not many more


@pytest.mark.parametrize(("population", "size"), [(5000, 50), (5000, 2500), (10**7, 10**5), (30, 1)])
def test_candidates_are_six_standard_deviations_of_the_share_and_twenty_requests_more(
    population: int, size: int
) -> None:
    draw, share = Draw("all", population, size), Fraction(size, population)
    assert draw.probability == float(share)
    wanted = share + 6 * Fraction(math.sqrt(share * (1 - share) / population)) + Fraction(20, population)
    assert draw.candidates == pytest.approx(min(1, wanted) * 2**52, rel=1e-12)
    assert isinstance(draw.candidates, int)


def test_a_stratum_that_is_taken_whole_has_every_hash_as_candidate() -> None:
    assert Draw("all", 1000, 1000).candidates == HASHES


@pytest.mark.parametrize(
    "changes",
    [
        {"sample": {"rate": 0.4}},
        {"sample": {"rates": {"JFK": 1.0}}},
        {"sample": {"strata": []}},
        {"sample": {"minimum_per_stratum": 99}},
        {"sample": {"max_rows": 99_999}},
        {"sample": {"salt": "pepper"}},
        {"requests": {"table": "flights.other_log"}},
        {"requests": {"prediction": "other_probability"}},
        {"schedule": "0 6 * * *"},
        {"timezone": "Europe/Berlin"},
        {"labels": {"key": "game_id"}},
    ],
)
def test_another_way_to_draw_is_another_design(changes: dict[str, Any]) -> None:
    assert digest(design(a_deployment(**changes))) != digest(design(a_deployment()))


@pytest.mark.parametrize(
    "changes",
    [
        {"sample": {"shard_rows": 10}},
        {"requests": {"features": ["distance"]}},
        {"policy": {"alpha": 0.01}},
        {"challengers": [{"name": "a_a_check", "model": "champion"}]},
        {"labels": {"maturity_days": 9}},
    ],
)
def test_what_does_not_touch_the_draw_keeps_the_design(changes: dict[str, Any]) -> None:
    assert digest(design(a_deployment(**changes))) == digest(design(a_deployment()))


DESIGN = {
    "max_rows": 100000,
    "minimum_per_stratum": 100,
    "rate": 0.5,
    "rates": {},
    "requests": {
        "conn_id": "production_db",
        "id": "request_id",
        "prediction": "champion_probability",
        "table": "flights.prediction_log",
        "time": "predicted_at",
    },
    "salt": "flight_delay",
    "schedule": "0 0 * * *",
    "strata": ["origin"],
    "timezone": "UTC",
}


def test_a_design_is_written_down_as_it_always_was() -> None:
    """What ledgers and folders of snapshots know a design by: where it changes, all evidence starts anew."""
    assert design(a_deployment()) == DESIGN
    text = json.dumps(DESIGN).replace(", ", ",").replace(": ", ":")
    assert digest(design(a_deployment())) == hashlib.sha256(text.encode()).hexdigest()
    assert design(a_deployment(labels={"key": "game_id"})) == DESIGN | {"label_key": "game_id"}


def test_the_salt_is_the_name_unless_it_is_given() -> None:
    assert a_deployment(sample={"salt": None}).salt == "flight_delay"
    assert a_deployment(sample={"salt": ""}).salt == ""


def test_a_digest_is_that_of_the_content_not_of_its_order() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert digest({"b": 1}) == hashlib.sha256(b'{"b":1}').hexdigest()
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})
    assert digest({"a": dt.date(2013, 3, 1)}) == hashlib.sha256(b'{"a":"2013-03-01"}').hexdigest()
    assert digest({"b": "é", "a": 0.1}) == hashlib.sha256(b'{"a":0.1,"b":"\\u00e9"}').hexdigest()


def test_what_is_not_a_number_has_no_digest() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"a": math.nan})
