"""Deployments, verdicts and promotions of tests, and what the ledger and the manifest then say."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.decision.words.finding import Finding, Outcome, Verdict
from shadow_deployment.errors import RegistryError
from shadow_deployment.ledger import predictions, verdicts
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.trials import open_trials
from tests.builders import a_verdict
from tests.production import World, day, linear_model

POLICY = {"minimum_coverage": 0.2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]}
CALM = {"metric": "brier_score", "is": "superior", "role": "advisory"}
ALWAYS = {"allow_force": True}
CHANGED = "UPDATE flights.prediction_log SET model_version = %s"


def settings(world: World, **changes: Any) -> dict[str, Any]:
    """The deployment: two challengers that may be promoted, and the A/A check."""
    model = world.folder / "linear.onnx"
    if not model.exists():
        linear_model(model, {"dep_hour": 0.1, "distance": -0.0005})
    other = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
    linear = {"name": "linear", "version": "2", "model": f"onnx:{model}"}
    promotion = {"manifest": str(world.folder / "published" / "champion.json"), **changes.pop("promotion", {})}
    challengers = [other, linear, {"name": "a_a_check", "model": "champion"}]
    return {"challengers": challengers, "policy": POLICY, "promotion": promotion, **changes}


def by(name: str, reason: str = "it is better") -> dict[str, Any]:
    return {"approved_by": name, "reason": reason}


def judge(
    shadow: DeploymentContext,
    number: int,
    outcome: Outcome,
    name: str = "other",
    *,
    against: str = "7",
    alpha: float | None = None,
    session: Session[Any] | None = None,
) -> None:
    """Keep a verdict of a day, without any evidence for it, on an input of its own."""
    deployment = shadow.deployment
    challenger = deployment.challenger(name)
    finding = Finding("error_rate", "all", "at_most", "blocking", outcome, 0.5, "as the test says", alpha_pass=alpha)
    with contextlib.nullcontext(session) if session else shadow.ledger() as opened:
        key = predictions.challenger_id(opened, deployment, challenger, model_digest(challenger))
        new = a_verdict(
            day(number),
            key,
            Verdict(outcome, [] if outcome == "PASS" else ["as the test says"], [finding]),
            champion_version=against,
            trial=open_trials(opened, deployment, {challenger.name: key}, against)[challenger.name],
        )
        verdicts.store(opened, deployment, new)


def view(world: World) -> list[tuple[Any, ...]]:
    return world.query("SELECT name, version, digest, uri, since, approved_by, number FROM shadow.champion")


def published(world: World) -> dict[str, Any] | None:
    path = world.folder / "published" / "champion.json"
    return json.loads(path.read_text()) if path.exists() else None


def as_published(world: World) -> dict[str, Any] | None:
    """What the manifest must hold, from the view."""
    rows = view(world)
    if not rows:
        return None
    ((name, version, digest, uri, since, approved_by, number),) = rows
    ((place, link),) = world.query(
        "SELECT c.number, c.hash FROM shadow.chain AS c JOIN shadow.promotion AS p ON p.id = c.subject_id "
        "WHERE c.kind = 'promotion' AND p.number = %s",
        [number],
    )
    return {
        "deployment": "late",
        "champion": {"name": name, "version": version, "digest": digest, "uri": uri},
        "number": number,
        "since": since.isoformat(),
        "approved_by": approved_by,
        "chain": {"number": place, "hash": link},
    }


def leftovers(path: Path) -> list[str]:
    """What lies beside a document but for the lock, which stays."""
    return [one.name for one in path.parent.iterdir() if one.name not in (path.name, f".{path.name}.lock")]


def refusal(call: Callable[[], object], error: type[Exception] = RegistryError) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)
