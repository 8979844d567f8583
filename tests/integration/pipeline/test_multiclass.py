"""A whole day of a task with three classes, beside scikit-learn."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import DeploymentError, ValidationFailed
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day
from shadow_deployment.report import text
from tests.conftest import database
from tests.production import OWNER, READER, World, day, moment

CLASSES = ["home", "draw", "away"]
ROWS = 200
TABLES = """
CREATE SCHEMA football;
CREATE TABLE football.log (
    id int PRIMARY KEY, at timestamptz, x float8, a float8, b float8, c float8, d float8, e float8, f float8
);
CREATE TABLE football.result (id int, winner text, known_at timestamptz);
"""


@pytest.fixture(scope="module")
def matches() -> dict[str, Any]:
    random = np.random.default_rng(7)
    champion, challenger = (random.dirichlet(np.ones(3), ROWS) for _ in range(2))
    champion[0], champion[1] = [0, 0.5, 0.5], [1, 0, 0]  # certain, once wrong and once right
    label = random.integers(0, 3, ROWS)
    label[:2] = 0
    return {"champion": champion, "challenger": challenger, "label": label, "known": random.random(ROWS) < 0.9}


@pytest.fixture
def football(worlds: Callable[..., World], matches: dict[str, Any]) -> World:
    world = worlds()
    name = database(world.postgres, OWNER)
    with psycopg.connect(world.postgres.uri(name, OWNER)) as session:
        session.execute(TABLES)
        with session.cursor() as cursor, cursor.copy("COPY football.log FROM STDIN") as stream:
            for row in range(ROWS):
                answers = [*matches["champion"][row].tolist(), *matches["challenger"][row].tolist()]
                stream.write_row([row, moment(0.5), 1.0, *(answers if row else [*answers[:5], None])])
        with session.cursor() as cursor, cursor.copy("COPY football.result FROM STDIN") as stream:
            for row in np.flatnonzero(matches["known"]).tolist():
                stream.write_row([row, CLASSES[matches["label"][row]], moment(0.8)])
    world.postgres.ensure_reader(name, READER, "football")
    return replace(world, production=name, owns_production=True)


def shadow(world: World, **changes: Any) -> DeploymentContext:
    settings: dict[str, Any] = {
        "task": "multiclass",
        "classes": CLASSES,
        "metrics": ["accuracy", "disagreement", "population_stability_index"],
        "requests": {
            **dict.fromkeys(("version", "latency")),
            "table": "football.log",
            "id": "id",
            "time": "at",
            "features": ["x"],
            "prediction": ["a", "b", "c"],
        },
        "labels": {"table": "football.result", "id": "id", "value": "winner"},
        "slices": [],
        "challengers": [
            {"name": "other", "model": "logged:football.log.d,e,f"},
            {"name": "a_a_check", "model": "champion"},
        ],
        "policy": {"burn_in": 2, "rules": [{"metric": "log_loss", "is": "superior"}]},
    }
    return world.shadow(**settings | changes)


def test_losses_of_several_classes_are_those_of_scikit_learn(football: World, matches: dict[str, Any]) -> None:
    ours = shadow(football)
    assert run_day(ours, day(0)) == []
    found = football.evidence().query("challenger == 'other' and slice_column == 'all'").set_index("metric")
    paired = matches["known"]
    assert paired[0], "the first request, which the challenger does not answer, has a label"
    charged = np.vstack([[0, 1, 0], matches["challenger"][1:]])  # as wrong as can be; so was the champion there
    label = matches["label"][paired]
    for model, answers in (("champion", matches["champion"]), ("challenger", charged)):
        answer = answers[paired]
        expected = {
            "log_loss": log_loss(label, answer, labels=[0, 1, 2]),
            "brier_score": brier_score_loss(np.eye(3)[label], answer, scale_by_half=False),
            "accuracy": accuracy_score(label, answer.argmax(axis=1)),
        }
        for metric, value in expected.items():
            row = found.loc[metric]
            assert row.pairs == paired.sum()
            assert row[f"{model}_sum"] / row.weight == pytest.approx(value, abs=1e-9)
    answered = np.arange(ROWS) > 0
    distance = np.abs(matches["champion"] - matches["challenger"])[answered].sum(axis=1) / 2
    same = matches["champion"].argmax(axis=1) == matches["challenger"].argmax(axis=1)
    assert found.loc["disagreement"].challenger_sum == pytest.approx(distance.sum() + 1, abs=1e-9)
    assert found.loc["agreement"].challenger_sum == same[answered].sum()
    assert found.loc["error_rate"].challenger_sum == 1
    assert found.loc["population_stability_index"].pairs == ROWS - 1
    control = football.evidence().query("challenger == 'a_a_check' and metric == 'log_loss'")
    assert control.identical.eq(control.pairs).all()


def test_a_challenger_that_answers_nothing_is_charged_for_every_request(
    football: World, matches: dict[str, Any]
) -> None:
    football.change_production("UPDATE football.log SET d = NULL")
    run_day(shadow(football), day(0))
    found = football.evidence().query("challenger == 'other' and slice_column == 'all'").set_index("metric")
    known = matches["known"].sum()
    assert (found.loc["brier_score"].challenger_sum, found.loc["brier_score"].unanswered) == (2 * known, known)
    assert found.loc["agreement"].challenger_sum == 0
    assert found.loc["log_loss"].challenger_sum == pytest.approx(-known * np.log(np.finfo(float).eps))


def test_explanation_names_the_classes(football: World) -> None:
    ours = shadow(football)
    run_day(ours, day(0))
    with ours.ledger() as session:
        stored = text.explained(session, ours.deployment, "other", None)
        lines = text.disagreements(session, ours.deployment, stored)
    assert any(f"champion {name}, challenger" in line for name in CLASSES for line in lines)


def test_probabilities_that_do_not_add_up_stop_the_challenger(football: World) -> None:
    football.change_production("UPDATE football.log SET d = d + 0.5 WHERE id = 5")
    ours = shadow(football)
    [problem] = run_day(ours, day(0))
    assert isinstance(problem, ValidationFailed)
    assert "on total" in str(problem)


def test_label_that_is_no_class_is_set_aside_and_the_verdict_names_the_classes(football: World) -> None:
    football.change_production("UPDATE football.result SET winner = 'nobody'")
    ours = shadow(football)
    run_day(ours, day(0))
    judged = steps.judge(ours, day(0), ours.deployment.challengers[0].name)
    said = [reason for reason in judged.verdict.reasons if "had an invalid label: 'nobody'" in reason]
    assert ["must be one of home, draw, away" in reason for reason in said] == [True]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"classes": ["home", "away"]}, "classes has 2, must have at least three, for a multiclass task"),
        ({"task": "binary"}, "classes has 3, must have none, except for a multiclass task"),
        ({"requests": {"prediction": ["a", "b"]}}, "requests.prediction names 2 columns, must name 3"),
        (
            {"challengers": [{"name": "other", "model": "logged:football.log.d"}]},
            r"challengers\[0\]\.model names 1 columns, must name 3",
        ),
    ],
)
def test_classes_and_columns_must_match(football: World, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DeploymentError, match=problem):
        shadow(football, **changes)


def test_onnx_model_answers_with_a_probability_for_each_class(football: World) -> None:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    features = np.random.default_rng(1).normal(size=(60, 1)).astype(np.float32)
    model = LogisticRegression().fit(features, np.arange(60) % 3)
    path = football.folder / "three.onnx"
    path.write_bytes(to_onnx(model, features[:1], options={"zipmap": False}).SerializeToString())
    ours = shadow(football, challengers=[{"name": "trees", "model": f"onnx:{path}"}])
    assert run_day(ours, day(0)) == []
    [(stored,)] = football.query("SELECT probabilities FROM shadow.prediction LIMIT 1")
    assert stored == pytest.approx(model.predict_proba(np.ones((1, 1)))[0].tolist(), abs=1e-6)
