"""A deployment file: what it means, and that each mistake in it is named with its key, its line and what is allowed."""

import datetime as dt
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_deployment.config.deployment import Deployment, load_deployment, parse_deployment
from shadow_deployment.config.discovery import VARIABLE, deployment_files, find_deployment
from shadow_deployment.config.fields import ticks_of
from shadow_deployment.config.model import ALLOWED
from shadow_deployment.config.yaml_source import YamlSource
from shadow_deployment.errors import DeploymentError
from shadow_deployment.metrics.catalog import metrics_of
from tests.builders import EXAMPLE, FILE, a_deployment

MINIMAL = """\
name: small
start: 2013-03-01
task: binary
requests: {conn_id: production_db, table: log, id: id, time: at, features: [x], prediction: p}
labels: {conn_id: production_db, table: outcome, id: id, value: y, time: known_at, maturity_days: 0}
store: {conn_id: shadow_db, snapshots: snapshots}
sample: {rate: 1}
challengers: [{name: other, model: "logged:log.q"}]
policy: {rules: [{metric: brier_score, is: superior}]}
"""
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
BINARY = ", ".join(metrics_of("binary"))


def problems_of(text: str) -> list[str]:
    with pytest.raises(DeploymentError) as caught:
        parse_deployment(YamlSource.from_text(text, FILE))
    return str(caught.value).splitlines()


def changed(*changes: tuple[str, str]) -> str:
    text = EXAMPLE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def line_of(part: str) -> int:
    return EXAMPLE[: EXAMPLE.index(part)].count("\n") + 1


def test_the_documented_example_loads(tmp_path: Path) -> None:
    path = tmp_path / "any_name.yaml"
    path.write_text(EXAMPLE)
    deployment = load_deployment(path)
    assert deployment.name == "flight_delay"
    assert deployment.start == dt.date(2013, 3, 1)
    assert deployment.requests.features == ["dep_hour", "distance"]
    assert deployment.labels.maturity_days == 3
    assert (deployment.sample.rate, deployment.sample.minimum_per_stratum) == (0.5, 100)
    assert [one.version for one in deployment.challengers] == ["1", "1", "1"]
    assert [rule.is_ for rule in deployment.policy.rules] == ["superior", "non_inferior", "at_most", "at_least"]
    assert [rule.role for rule in deployment.policy.rules] == ["blocking", "blocking", "blocking", "advisory"]


def test_columns_by_class_are_the_list_in_the_order_of_classes() -> None:
    """So that all that is made of a deployment is the same: sample, trial and evidence."""
    classes = "task: multiclass\nclasses: [home, draw, away]\nthreshold: 0.5\n"
    text = MINIMAL.replace("task: binary\n", classes).replace("brier_score", "log_loss").replace("log.q", "log.q,r,s")
    listed, mapped = (
        parse_deployment(YamlSource.from_text(text.replace("prediction: p", f"prediction: {columns}"), FILE))
        for columns in ("[p_home, p_draw, p_away]", "{away: p_away, home: p_home, draw: p_draw}")
    )
    assert mapped == listed


def test_models_and_suites_are_looked_for_beside_the_file_first(tmp_path: Path) -> None:
    path, model = tmp_path / "late.yaml", "onnx:models/own.onnx"
    suite = (
        '\nexpectations: {inputs: own.json, predictions: include/elsewhere.json}\nchampion: {model: "skops:no.skops"}\n'
    )
    path.write_text(MINIMAL.replace("logged:log.q", model) + suite)
    assert load_deployment(path).challengers[0].model == model
    for name in ("models/own.onnx", "own.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    deployment = load_deployment(path)
    assert deployment.challengers[0].model == f"onnx:{tmp_path}/models/own.onnx"
    assert deployment.expectations.inputs == f"{tmp_path}/own.json"
    assert deployment.expectations.predictions == "include/elsewhere.json"
    assert deployment.champion is not None
    assert deployment.champion.model == "skops:no.skops"


def test_a_digest_that_is_missing_is_shown_where_the_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "late.yaml"
    path.write_text(MINIMAL.replace("logged:log.q", "sklearn:own.pkl"))
    with pytest.raises(DeploymentError, match="as sha256sum prints it"):
        load_deployment(path)
    (tmp_path / "own.pkl").write_bytes(b"a model")
    wanted = f"digest is missing, must be {hashlib.sha256(b'a model').hexdigest()}, the SHA-256 of {tmp_path}/own.pkl"
    with pytest.raises(DeploymentError, match=wanted):
        load_deployment(path)


def test_optional_keys_have_defaults() -> None:
    deployment = parse_deployment(YamlSource.from_text(MINIMAL, FILE))
    assert (deployment.schedule, deployment.timezone, deployment.end) == ("0 0 * * *", "UTC", None)
    assert (deployment.slices, deployment.sample.strata, deployment.sample.minimum_per_stratum) == ([], [], 0)
    assert (deployment.requests.version, deployment.requests.latency) == (None, None)
    assert (deployment.expectations.inputs, deployment.expectations.predictions) == (None, None)
    assert (deployment.policy.alpha, deployment.policy.unit, deployment.policy.burn_in) == (0.05, "day", 28)
    assert deployment.policy.rules[0].role == "blocking"
    assert deployment.salt == "small"


def test_a_deployment_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        a_deployment().name = "other"


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


@pytest.mark.parametrize(
    ("schedule", "hours", "minute"),
    [
        ("0 0 * * *", range(0, 24, 24), 0),
        ("@daily", range(0, 24, 24), 0),
        ("30 6 * * *", range(6, 24, 24), 30),
        ("5 23 * * *", range(23, 24, 24), 5),
        ("@hourly", range(24), 0),
        ("15 * * * *", range(24), 15),
        ("15 */12 * * *", range(0, 24, 12), 15),
        ("@weekly", range(0, 24, 24), 0),
        ("30 6 * * Mon", range(6, 24, 24), 30),
    ],
)
def test_windows_begin_at_the_times_of_the_schedule(schedule: str, hours: range, minute: int) -> None:
    assert ticks_of(a_deployment(schedule=schedule, policy={"unit": "week"}).schedule) == (hours, minute)


def test_a_weekly_schedule_judges_weeks() -> None:
    rule = {"metric": "roc_auc", "is": "at_least", "value": 0.7, "last": {"hold": 2, "of": 3}}
    policy = a_deployment(schedule="0 0 * * Sun", policy={"unit": "week", "rules": [rule]}).policy
    assert (policy.period, policy.unit, policy.periods_per_observation) == ("week", "week", 1)
    assert str(policy.rules[0]).endswith("is at least 0.7, on 2 of the last 3 weeks")
    content = EXAMPLE.replace('"0 0 * * *"', '"@weekly"')
    (line,) = problems_of(content)
    assert line.startswith(
        "deployment flight_delay: policy.unit == 'day', must be week, or absent: schedule == '0 0 * * 0'"
    )
    content = content.replace("  unit: day                      # day | week | request\n", "")
    absent = parse_deployment(YamlSource.from_text(content, FILE))
    assert (absent.policy.period, absent.policy.unit) == ("week", "week")


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


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "metric: brier_score",
            "metric: brier",
            f"policy.rules[0].metric == 'brier', must be one of {BINARY}, did you mean brier_score?",
        ),
        (
            "metric: brier_score",
            "metric: squared_error",
            f"policy.rules[0].metric == 'squared_error', must be one of {BINARY}",
        ),
        (
            "is: superior",
            "is: superior, margin: 0.1",
            "policy.rules[0].margin == 0.1, belongs to non_inferior and equivalent only",
        ),
        (
            "is: superior",
            "is: superior, value: 1",
            "policy.rules[0].value == 1.0, belongs to at_most and at_least only",
        ),
        ("non_inferior, margin: 0.005", "non_inferior", "policy.rules[1].margin is missing"),
        ("at_most, value: 0.001", "at_most", "policy.rules[2].value is missing"),
        (
            "is: at_least, value: 0.8",
            "is: superior",
            "policy.rules[3].is == 'superior', must be at_most or at_least: the champion has no agreement of its own",
        ),
        (
            "slices: [origin]",
            "slices: [dest]",
            "policy.rules[1].slices == 'dest', must be one of the deployment's slices: origin, carrier",
        ),
        (
            "slices:   [origin, carrier]",
            "slices: [origin, origin]",
            "slices[1] == 'origin', duplicates slices[0]; remove one of them",
        ),
        (
            "name: a_a_check",
            "name: logged_elsewhere",
            "challengers[2].name == 'logged_elsewhere', duplicates challengers[1].name; remove one of them",
        ),
        (
            "slices:   [origin, carrier]",
            "slices: [origin, stratum]",
            "slices[1] == 'stratum', is a name that snapshots use; rename the column",
        ),
        (
            "slices:   [origin, carrier]",
            "slices: [origin, carrier, all]",
            "slices[2] == 'all', is a name that snapshots use; rename the column",
        ),
        (
            "strata: [origin]",
            "strata: [champion]",
            "sample.strata[0] == 'champion', is a name that snapshots use; rename the column",
        ),
        (
            "strata: [origin]",
            "rates: {JFK: 1.0}",
            "sample.rates needs sample.strata: it names a rate for each of their values",
        ),
        (
            "start: 2013-03-01",
            "end: 2013-02-28\nstart: 2013-03-01",
            "end == 2013-02-28, must not be before start == 2013-03-01",
        ),
        (
            "snapshots: file:///var/lib/shadow/snapshots}",
            "snapshots: snapshots, keep_days: 4}",
            "store.keep_days == 4, must be at least 5, 2 days more than labels.maturity_days",
        ),
        (
            "alpha: 0.05",
            "too_good: {auc: 0.97}",
            "policy.too_good.champion_auc == 0.98, must be below policy.too_good.auc == 0.97",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(old: str, new: str, problem: str) -> None:
    (line,) = problems_of(changed((old, new)))
    assert line == f"deployment flight_delay: {problem} ({FILE}:{line_of(old)})"


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


def test_agreement_of_numbers_needs_a_tolerance() -> None:
    rules = {"rules": [{"metric": "agreement", "is": "at_least", "value": 0.8}]}
    with pytest.raises(DeploymentError, match="needs the deployment's key tolerance"):
        a_deployment(task="regression", policy=rules)
    assert a_deployment(task="regression", policy=rules, tolerance=0.5).tolerance == 0.5


def test_a_rule_may_name_the_slice_of_all_requests() -> None:
    rule = {"metric": "brier_score", "is": "superior", "slices": ["all"]}
    assert a_deployment(policy={"rules": [rule]}).policy.rules[0].slices == ["all"]


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (EXAMPLE + "timezone: UTC\n", f"{EXAMPLE.count(chr(10)) + 1} key 'timezone'"),
        ("name: a\nsample:\n  rate: 1\n  rate: 0.5\n", "4 key 'rate'"),
        ("name: a\nrules:\n  - {is: x, is: y}\n", "3 key 'is'"),
    ],
)
def test_a_duplicate_key_is_refused(text: str, problem: str) -> None:
    assert problems_of(text) == [f"{FILE}:{problem} appears twice; keep one of them"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "hello\n", "null\n"])
def test_a_file_without_keys_is_refused(text: str) -> None:
    assert problems_of(text) == [f"{FILE} must contain keys and values, starting with name: ..."]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [b\n", 2), ("a: b\n\tc: d\n", 2), ("a: b\n---\nc: d\n", 2), ("a: 1\nb: *x\n", 2), ("a: !what 1\n", 1)],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(f"{FILE}:{line} is not valid YAML: ")


@pytest.mark.parametrize("text", ["? [a]\n: 2\n", "? {a: 1}\n: 2\n", "name: {{ x }}\n"])
def test_a_key_with_brackets_is_refused_with_its_line(text: str) -> None:
    assert problems_of(text) == [f"{FILE}:1 a key must be text: quote values that start with {{ or ["]


@given(text=st.text("ab1:-?,.&*!|>'\"%@`#~ \n\t[]{}\x00\x85\ufeff", max_size=40))
@settings(max_examples=300)
def test_any_text_is_answered_with_a_deployment_error(text: str) -> None:
    with pytest.raises(DeploymentError):
        parse_deployment(YamlSource.from_text(text, FILE))


@pytest.mark.parametrize("content", [None, b"name: \xff\xfe\n"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DeploymentError, match=r"broken\.yaml cannot be read: "):
        load_deployment(path)


def test_an_alias_repeats_what_its_anchor_holds() -> None:
    text = changed(
        ("slices:   [origin, carrier]", "slices: &columns [origin]"), ("slices: [origin]}", "slices: *columns}")
    )
    assert parse_deployment(YamlSource.from_text(text, FILE)).policy.rules[1].slices == ["origin"]


def test_only_challengers_that_are_not_the_control_can_be_promoted() -> None:
    deployment = a_deployment()
    assert [one.name for one in deployment.promotable] == ["gradient_boosting", "logged_elsewhere"]
    assert deployment.challenger("a_a_check").is_a_a_check


def test_a_challenger_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(DeploymentError) as caught:
        a_deployment().challenger("gradient_bosting")
    assert str(caught.value) == (
        "deployment flight_delay: challenger == 'gradient_bosting', must be one of gradient_boosting, "
        "logged_elsewhere, a_a_check, did you mean gradient_boosting?"
    )


def test_a_rule_knows_what_its_interval_is_held_against() -> None:
    assert [rule.bound for rule in a_deployment().policy.rules] == [0.0, -0.005, 0.001, 0.8]


@pytest.mark.parametrize(
    ("position", "words"),
    [
        (0, "Brier score is better"),
        (1, "log loss is not worse by 0.005 or more, overall and in every origin"),
        (2, "error rate is at most 0.001"),
        (3, "agreement with the champion is at least 0.8"),
    ],
)
def test_a_rule_can_be_read_as_words(position: int, words: str) -> None:
    assert str(a_deployment().policy.rules[position]) == words


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a file into a folder of deployments of this test's own."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return lambda name, text: (tmp_path / name).write_text(text) and None


def found_in(text: str) -> Deployment:
    return parse_deployment(YamlSource.from_text(text, FILE))


def test_a_deployment_is_found_by_its_name_not_by_its_file(write: Callable[[str, str], None]) -> None:
    write("b.yaml", EXAMPLE)
    write("a.yml", MINIMAL)
    write("notes.txt", "not a deployment")
    assert [path.name for path in deployment_files()] == ["a.yml", "b.yaml"]
    assert find_deployment("flight_delay") == found_in(EXAMPLE)
    assert find_deployment("small") == found_in(MINIMAL)


def test_a_broken_file_only_matters_if_it_is_asked_for(write: Callable[[str, str], None]) -> None:
    write("flight_delay.yaml", EXAMPLE)
    write("broken.yaml", "name: [")
    write("wrong.yaml", "name: wrong\n")
    assert find_deployment("flight_delay").name == "flight_delay"
    with pytest.raises(DeploymentError, match="not valid YAML"):
        find_deployment("broken")
    with pytest.raises(DeploymentError, match="deployment wrong: start is missing"):
        find_deployment("wrong")


def test_a_deployment_that_is_not_there_is_answered_with_those_that_are(write: Callable[[str, str], None]) -> None:
    write("a.yaml", EXAMPLE)
    write("b.yaml", MINIMAL)
    with pytest.raises(DeploymentError) as caught:
        find_deployment("flight_dela")
    assert "must be one of flight_delay, small, did you mean flight_delay?" in str(caught.value)


def test_of_two_files_of_one_name_neither_is_taken(write: Callable[[str, str], None]) -> None:
    write("a.yaml", MINIMAL)
    write("b.yaml", MINIMAL)
    problem = r"small: 2 files declare it; rename all but one \(.*a\.yaml, .*b\.yaml\)"
    with pytest.raises(DeploymentError, match=problem):
        find_deployment("small")


@pytest.mark.parametrize(
    "deep", ["[" * 100_000, "[{x: " * 100_000, "\n- " + "- " * 100_000, "[" * 100_000 + "]" * 100_000]
)
def test_a_file_that_nests_deep_is_an_error_and_ends_no_process(deep: str) -> None:
    with pytest.raises(DeploymentError, match=r"deep.yaml:\d+ nests more than 50 levels deep; close brackets"):
        YamlSource.from_text(f"name: deep\nslices: {deep}", "deep.yaml")
    nested = "[" * 49 + "]" * 49
    assert str(YamlSource.from_text(f"slices: {nested}", "deep.yaml").content["slices"]) == nested
