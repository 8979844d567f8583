"""What a deployment file means: defaults, files beside it, schedules, rules in words."""

import datetime as dt
import hashlib
from pathlib import Path

import pytest

from shadow_deployment.config.deployment import load_deployment, parse_deployment
from shadow_deployment.config.fields import ticks_of
from shadow_deployment.config.yaml_source import YamlSource
from shadow_deployment.errors import DeploymentError
from tests.builders import EXAMPLE, FILE, a_deployment
from tests.unit.config.mistakes import MINIMAL, changed, problems_of


def test_the_documented_example_loads(tmp_path: Path) -> None:
    path = tmp_path / "any_name.yaml"
    path.write_text(EXAMPLE)
    deployment = load_deployment(path)
    assert deployment.name == "flight_delay"
    assert deployment.start == dt.date(2013, 3, 1)
    assert deployment.requests.features == ["dep_hour", "distance"]
    assert deployment.labels.maturity_days == 3
    assert (deployment.sample.rate, deployment.sample.minimum_per_stratum) == (0.5, 100)
    assert [challenger.version for challenger in deployment.challengers] == ["1", "1", "1"]
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


def test_agreement_of_numbers_needs_a_tolerance() -> None:
    rules = {"rules": [{"metric": "agreement", "is": "at_least", "value": 0.8}]}
    with pytest.raises(DeploymentError, match="needs the deployment's key tolerance"):
        a_deployment(task="regression", policy=rules)
    assert a_deployment(task="regression", policy=rules, tolerance=0.5).tolerance == 0.5


def test_a_rule_may_name_the_slice_of_all_requests() -> None:
    rule = {"metric": "brier_score", "is": "superior", "slices": ["all"]}
    assert a_deployment(policy={"rules": [rule]}).policy.rules[0].slices == ["all"]


def test_an_alias_repeats_what_its_anchor_holds() -> None:
    text = changed(
        ("slices:   [origin, carrier]", "slices: &columns [origin]"), ("slices: [origin]}", "slices: *columns}")
    )
    assert parse_deployment(YamlSource.from_text(text, FILE)).policy.rules[1].slices == ["origin"]


def test_only_challengers_that_are_not_the_control_can_be_promoted() -> None:
    deployment = a_deployment()
    assert [challenger.name for challenger in deployment.promotable] == ["gradient_boosting", "logged_elsewhere"]
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
