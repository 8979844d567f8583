"""Each mistake in a deployment file is named with its key, its line and what is allowed."""

import pytest

from shadow_deployment.config.model import ALLOWED
from tests.builders import EXAMPLE, FILE
from tests.unit.config.mistakes import changed, line_of, problems_of

RULES = EXAMPLE[EXAMPLE.index("  rules:") :]
CHALLENGERS = EXAMPLE[EXAMPLE.index("challengers:") : EXAMPLE.index("expectations:")]
STORE = EXAMPLE[EXAMPLE.index("store:") : EXAMPLE.index("sample:")]
SCHEDULES = (
    'must be once a day ("MINUTE HOUR * * *", @daily), once a week ("MINUTE HOUR * * WEEKDAY", @weekly), every hour '
    '("MINUTE * * * *", @hourly) or every 2, 3, 4, 6, 8 or 12 hours ("MINUTE */6 * * *")'
)
NAME = "must be lower-case ASCII letters, digits and underscores, starting with a letter, at most 63"
ZONE = "must be an IANA time zone such as UTC or Europe/Berlin"
MODEL = ALLOWED
FULL, TEXT, SHORT = "must have at least one entry", "must not be empty", "must have at most 63 characters"
KEYS, DAY = "must be keys and values", "must be a day as YYYY-MM-DD"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: flight_delay", "name: Flights", f"name == 'Flights', {NAME}"),
        ("name: flight_delay", "name: 1st", f"name == '1st', {NAME}"),
        ("name: flight_delay", "name: 7", "name == 7, must be a valid string: write it in quotes"),
        ("timezone: UTC", "timezone: Mars", f"timezone == 'Mars', {ZONE}"),
        (
            "timezone: UTC",
            "timezone: Europe/Berln",
            f"timezone == 'Europe/Berln', {ZONE}, did you mean Europe/Berlin?",
        ),
        (
            "task: binary",
            "task: binray",
            "task == 'binray', must be one of binary, regression, multiclass, did you mean binary?",
        ),
        ("task: binary", "task: text", "task == 'text', must be one of binary, regression, multiclass"),
        ("table: flights.outcome", "table: a.b.c", "labels.table == 'a.b.c', must be TABLE or SCHEMA.TABLE"),
        ("table: flights.outcome", "table: flights.", "labels.table == 'flights.', must be TABLE or SCHEMA.TABLE"),
        ("maturity_days: 3", "maturity_days: -1", "labels.maturity_days == -1, must be greater than or equal to 0"),
        ("rate: 0.5", "rate: 0", "sample.rate == 0, must be greater than 0"),
        ("rate: 0.5", "rate: 50", "sample.rate == 50, must be less than or equal to 1"),
        ("rate: 0.5", "rate: .nan", "sample.rate == nan, must be a finite number"),
        ("rate: 0.5", "rate: true", "sample.rate == True, must be a valid number"),
        ("rate: 0.5", "rate: 0.5, rates: {JFK: 2}", "sample.rates.JFK == 2, must be less than or equal to 1"),
        ("max_rows: 100000", "max_rows: 1.5", "sample.max_rows == 1.5, must be a valid integer"),
        ("alpha: 0.05", "alpha: 1", "policy.alpha == 1, must be less than 1"),
        ("alpha: 0.05", "alpha: five", "policy.alpha == 'five', must be a valid number"),
        ("burn_in: 28", "burn_in: 1", "policy.burn_in == 1, must be greater than or equal to 2"),
        ("model: champion", "model: champ", f"challengers[2].model == 'champ', {MODEL}"),
        ("model: champion", 'model: "onnx:"', f"challengers[2].model == 'onnx:', {MODEL}"),
        ("model: champion", 'model: "pickle:m.pkl"', f"challengers[2].model == 'pickle:m.pkl', {MODEL}"),
        (
            "model: champion",
            'model: "logged:column,"',
            (
                "challengers[2].model == 'logged:column,', must name a table and a column, "
                "as in logged:flights.prediction_log.other_probability"
            ),
        ),
        (
            "model: champion",
            'model: "logged:a..b"',
            (
                "challengers[2].model == 'logged:a..b', must name a table and a column, "
                "as in logged:flights.prediction_log.other_probability"
            ),
        ),
        ("margin: 0.005", "margin: 0", "policy.rules[1].margin == 0, must be greater than 0"),
        ("value: 0.001", "value: .inf", "policy.rules[2].value == inf, must be a finite number"),
        ("role: monitor", "role: watch", "policy.rules[3].role == 'watch', must be one of blocking, advisory"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(old: str, new: str, problem: str) -> None:
    (line,) = problems_of(changed((old, new)))
    assert line.split(": ", 1)[1] == f"{problem} ({FILE}:{line_of(old)})"


@pytest.mark.parametrize(("got", "near"), [("better", ""), ("superor", ", did you mean superior?")])
def test_a_rule_that_does_not_exist_is_answered_with_those_that_do(got: str, near: str) -> None:
    (line,) = problems_of(changed(("is: superior", f"is: {got}")))
    start, *others = line.removesuffix(f"{near} ({FILE}:{line_of('is: superior')})").split(", ")
    assert start == f"deployment flight_delay: policy.rules[0].is == {got!r}"
    assert others[0] == "must be one of superior"
    assert {"non_inferior", "at_most", "at_least"} <= set(others)


@pytest.mark.parametrize(
    "schedule",
    [
        *("0 0 * * 8", "0 * * * 1", "0 */6 * * 1", "0 0 1 * *", "*/5 * * * *"),
        *("*/5 0 * * *", "0 24 * * *", "0 */5 * * *", "* * * * *", ""),
    ],
)
def test_a_schedule_whose_windows_do_not_make_up_days_is_refused(schedule: str) -> None:
    (line,) = problems_of(changed(('"0 0 * * *"', f'"{schedule}"')))
    assert line == f"deployment flight_delay: schedule == {schedule!r}, {SCHEDULES} ({FILE}:2)"


@pytest.mark.parametrize("version", ["1", "1.5", "true"])
def test_a_version_that_yaml_reads_as_no_text_asks_for_quotes(version: str) -> None:
    (line,) = problems_of(EXAMPLE.replace('version: "1"', f"version: {version}", 1))
    assert "challengers[0].version == " in line
    assert line.endswith(f"must be a valid string: write it in quotes ({FILE}:{line_of('name: gradient_boosting')})")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("timezone: UTC", "timzone: UTC", "timzone is unknown, did you mean timezone?"),
        ("timezone: UTC", "colour: red", "colour is unknown"),
        ("version: model_version", "versions: model_version", "requests.versions is unknown, did you mean version?"),
        ("minimum_per_stratum: 100", "minimum: 100", "sample.minimum is unknown"),
        ("role: monitor", "rol: monitor", "policy.rules[3].rol is unknown, did you mean role?"),
        (
            "{name: a_a_check,",
            "{name: a_a_check, verson: x,",
            "challengers[2].verson is unknown, did you mean version?",
        ),
        ("unit: day", "units: day", "policy.units is unknown, did you mean unit?"),
        ("is: superior", "is: superior, is_: superior", "policy.rules[0].is_ is unknown, did you mean is?"),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(old: str, new: str, problem: str) -> None:
    (line,) = problems_of(changed((old, new)))
    assert line == f"deployment flight_delay: {problem} ({FILE}:{line_of(old)})"


@pytest.mark.parametrize(
    ("old", "new", "problem", "near"),
    [
        ("start: 2013-03-01\n", "", "start is missing", "name: flight_delay"),
        (", time: known_at", "", "labels.time is missing", "labels:"),
        (", model: champion", "", "challengers[2].model is missing", "name: a_a_check"),
        (", is: superior", "", "policy.rules[0].is is missing", "metric: brier_score"),
    ],
)
def test_a_missing_key_is_named_with_the_line_around_it(old: str, new: str, problem: str, near: str) -> None:
    (line,) = problems_of(changed((old, new)))
    assert line == f"deployment flight_delay: {problem} ({FILE}:{line_of(near)})"


@pytest.mark.parametrize(
    ("old", "new", "got", "allowed", "on"),
    [
        ("features: [dep_hour, distance]", "features: []", "requests.features == []", FULL, 7),
        (CHALLENGERS, "challengers: []\n", "challengers == []", FULL, line_of("challengers:")),
        (RULES, "  rules: []\n", "policy.rules == []", FULL, line_of("  rules:")),
        ("id: request_id, time: predicted_at", "id: '', time: predicted_at", "requests.id == ''", TEXT, 6),
        ("conn_id: shadow_db", "conn_id: ''", "store.conn_id == ''", TEXT, line_of(STORE)),
        (
            'name: gradient_boosting, version: "1"',
            'name: x, version: ""',
            "challengers[0].version == ''",
            TEXT,
            line_of("name: gradient_b"),
        ),
        ("time: known_at", f"time: {'x' * 64}", f"labels.time == '{'x' * 64}'", SHORT, line_of("labels:")),
        (STORE, "store: none\n", "store == 'none'", KEYS, line_of(STORE)),
        (STORE, "store:\n\n  - none\n", "store == ['none']", KEYS, line_of(STORE)),
        ("rate: 0.5", "rate: 0.5, rates: [1]", "sample.rates == [1]", KEYS, line_of("sample:")),
        ("slices:   [origin, carrier]", "slices: origin", "slices == 'origin'", "must be a list", line_of("slices:")),
        ("start: 2013-03-01", "start: soon", "start == 'soon'", DAY, 4),
        ("start: 2013-03-01", "start: 2013-03-01T", "start == '2013-03-01T'", DAY, 4),
        (
            "start: 2013-03-01",
            "start: 2013-03-01 05:00:00",
            "start == datetime.datetime(2013, 3, 1, 5, 0)",
            f"{DAY}, without a time",
            4,
        ),
    ],
)
def test_what_is_empty_too_long_or_of_another_kind_is_refused(
    old: str, new: str, got: str, allowed: str, on: int
) -> None:
    assert problems_of(changed((old, new))) == [f"deployment flight_delay: {got}, {allowed} ({FILE}:{on})"]


def test_a_key_that_is_no_word_is_refused_with_its_line() -> None:
    (line,) = problems_of(changed(("slices:   [", "7: x\nslices:   [")))
    assert line == f"{FILE}:{line_of('slices:')} key 7 must be text: write it in quotes"


def test_a_day_that_no_calendar_has_is_named_with_its_line() -> None:
    (line,) = problems_of(changed(("start: 2013-03-01", "start: 2013-13-01")))
    assert line == f"{FILE}:4 start == '2013-13-01' is not a valid timestamp: month must be in 1..12"


@pytest.mark.parametrize("name", ["request_id", "champion", "inclusion_probability"])
def test_a_feature_cannot_have_a_name_that_snapshots_use(name: str) -> None:
    (line,) = problems_of(changed(("features: [dep_hour, distance]", f"features: [dep_hour, {name}]")))
    assert line == (
        f"deployment flight_delay: requests.features[1] == {name!r}, "
        f"is a name that snapshots use; rename the column ({FILE}:7)"
    )


def test_margin_and_value_that_change_places_are_both_named() -> None:
    lines = problems_of(changed(("value: 0.001", "margin: 0.001")))
    on = line_of("metric: error_rate")
    where = "deployment flight_delay: policy.rules[2]."
    assert lines == [
        f"{where}margin == 0.001, belongs to non_inferior and equivalent only ({FILE}:{on})",
        f"{where}value is missing ({FILE}:{on})",
    ]


def test_all_wrong_values_are_named_at_once_each_with_its_line() -> None:
    text = changed(("timezone: UTC", "timzone: UTC"), ("alpha: 0.05", "alpha: 2"), ("rate: 0.5", "rate: 0"))
    assert sorted(problems_of(text)) == sorted(
        [
            f"deployment flight_delay: timzone is unknown, did you mean timezone? ({FILE}:3)",
            f"deployment flight_delay: sample.rate == 0, must be greater than 0 ({FILE}:{line_of('sample:')})",
            f"deployment flight_delay: policy.alpha == 2, must be less than 1 ({FILE}:{line_of('alpha:')})",
        ]
    )


def test_all_contradictions_are_named_at_once() -> None:
    text = changed(
        ("metric: brier_score", "metric: brier"),
        ("name: a_a_check", "name: logged_elsewhere"),
        ("slices: [origin]", "slices: [dest]"),
    )
    assert [line.split(" == ")[0] for line in problems_of(text)] == [
        "deployment flight_delay: challengers[2].name",
        "deployment flight_delay: policy.rules[0].metric",
        "deployment flight_delay: policy.rules[1].slices",
    ]


def test_a_long_value_is_shortened_in_the_message() -> None:
    (line,) = problems_of(changed(("task: binary", f"task: {'b' * 5000}")))
    assert len(line) < 250


def test_a_file_without_a_name_says_so() -> None:
    (line,) = problems_of(changed(("name: flight_delay\n", "")))
    assert line == f"deployment: name is missing ({FILE}:1)"
