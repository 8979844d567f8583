"""What drifts is named with its number on the page and in the health line."""

import datetime as dt
import math
from dataclasses import replace
from typing import Any

import pytest

from shadow_deployment.ledger.checks.drift import DriftRow
from shadow_deployment.ledger.page import HistogramRow
from shadow_deployment.report.html.tables import drift
from shadow_deployment.report.queries.drift import lately, of_model
from shadow_deployment.report.queries.scorecard import health
from tests.unit.report import figures


def test_the_health_line_names_what_drifts_most_and_is_never_an_alarm() -> None:
    item = health.drift_item(figures.drift())
    assert (item.level, item.word, item.section) == ("attention", "large in 2", "drift")
    assert item.detail.startswith("distance 0.605, carrier 0.158 against the first 14\xa0days; PSI")
    calm = replace(figures.drift(), series=figures.drift().series[2:])
    assert (health.drift_item(calm).level, health.drift_item(calm).word) == ("good", "none")
    assert health.drift_item(None).word == "not known"
    young = replace(calm, series=tuple(replace(each, lately=None) for each in calm.series))
    assert (health.drift_item(young).level, health.drift_item(young).word) == ("good", "too early")


def a_row(number: int, actual: list[float] | None, reference: int = 14) -> DriftRow:
    ids, day = list(range(reference)), dt.date(2024, 1, 1) + dt.timedelta(days=number)
    return DriftRow(day, "weekday", 9.0, 0.0, 100, ids, [1 / 7] * 7, actual, 0.0, 1400)


def test_a_week_is_taken_together_so_that_a_weekday_is_no_drift() -> None:
    rows = [a_row(number, [float(number % 7 == place) for place in range(7)]) for number in range(30)]
    index, chance = lately(rows)
    assert index == pytest.approx(0.0, abs=1e-12)
    assert chance == pytest.approx(6 * (1 / 700 + 1 / 1400))
    same = lately([a_row(number, [1.0, 0, 0, 0, 0, 0, 0]) for number in range(30)])[0]
    assert same == pytest.approx(6 / 7 * math.log(7) + 6 * (1 / 7 - 1e-4) * math.log(1 / 7 / 1e-4))
    assert lately(rows[:6]) == (None, 0.0)
    assert lately([*rows[:-3], a_row(27, None), *rows[-2:]]) == (None, 0.0)
    assert lately([*rows[:-3], *(replace(row, reference=[1]) for row in rows[-3:])]) == (None, 0.0)


def test_how_strong_a_drift_is_follows_the_usual_marks_and_chance() -> None:
    series = replace(figures.drift(20).series[0], chance=0.0)
    for index, strength in ((0.09, "none"), (0.1, "moderate"), (0.24, "moderate"), (0.25, "large"), (None, "none")):
        assert replace(series, lately=index).strength == strength
    assert replace(series, lately=0.3, chance=0.15).strength == "none"


def test_the_table_has_every_feature_with_its_index_and_missing_shares() -> None:
    table = drift(figures.drift())
    assert len(table.rows) == 14
    name, strength, lately, newest, chance, first, missing, kept = table.rows[0]
    assert (name, strength, lately, chance, first, kept) == (
        "distance", "large", "0.605", "0.020", "2.0\xa0%", "364\xa0days"
    )  # fmt: skip
    assert float(newest) > 0.5
    assert missing.endswith("\xa0%")
    assert table.rows[-1][5] == "\N{EN DASH}", "predictions have no missing share"


@pytest.mark.parametrize(("number", "moved"), [(40, False), (40, True), (33, True)])
def test_predictions_of_a_week_are_taken_together_too(number: int, moved: bool) -> None:
    nothing: dict[str, Any] = dict.fromkeys(HistogramRow.__dataclass_fields__)

    def bins(day: int) -> list[HistogramRow]:
        at = day % 7 + (7 if moved and day >= number - 7 else 0)
        of_bin = {"day": dt.date(2024, 1, 1) + dt.timedelta(days=day), "bin": at, "requests": 50, "weight": 50.0}
        return [HistogramRow(**nothing | of_bin)]

    by_day = {day: rows for rows in map(bins, range(number)) if (day := rows[0].day)}
    values, index, chance = of_model(by_day)
    assert len(values) == number - 1
    if number < 34:
        assert index is None
        return
    assert min(values.values()) > 1, "each day alone is another weekday"
    assert (index or 0) > 5 if moved else index == pytest.approx(0.0, abs=1e-12)
    assert 0 < chance < 10 * (1 / 350 + 1 / 700)
