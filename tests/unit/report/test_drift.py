"""What drifts is named with its number on the page and in the health line."""

from dataclasses import replace

from shadow_deployment.report.html.tables import drift
from shadow_deployment.report.queries.scorecard import health
from tests.unit.report import examples


def test_the_health_line_names_what_drifts_most_and_is_never_an_alarm() -> None:
    item = health.drift_item(examples.drift())
    assert (item.level, item.word, item.section) == ("attention", "large in 2", "drift")
    assert item.detail.startswith("distance 0.605, carrier 0.158 against the first 14\xa0days; PSI")
    calm = replace(examples.drift(), series=examples.drift().series[2:])
    assert (health.drift_item(calm).level, health.drift_item(calm).word) == ("good", "none")
    assert health.drift_item(None).word == "not known"


def test_lately_is_the_median_of_the_newest_seven_days_with_an_index() -> None:
    series = replace(
        examples.drift(20).series[0], values=(9.0, None, 0.7, 0.1, 0.2, None, 0.3, 0.4, 0.5, 0.6), chance=0
    )
    assert series.lately == 0.4
    assert series.strength == "large"
    assert replace(series, values=(0.09,)).strength == "none"
    assert replace(series, values=(0.1,)).strength == "moderate"
    assert replace(series, values=(None,)).lately is None


def test_the_table_has_every_feature_with_its_index_and_missing_shares() -> None:
    table = drift(examples.drift())
    assert len(table.rows) == 14
    name, strength, lately, newest, chance, first, missing, kept = table.rows[0]
    assert (name, strength, lately, chance, first, kept) == (
        "distance", "large", "0.605", "0.020", "2.0\xa0%", "364\xa0days"
    )  # fmt: skip
    assert float(newest) > 0.5
    assert missing.endswith("\xa0%")
    assert table.rows[-1][5] == "\N{EN DASH}", "predictions have no missing share"
