"""Days of a production that a test makes, what is judged of them, and which labels were known."""

import io
import json
from collections.abc import Callable
from typing import Any

import pandas as pd
from rich.console import Console

from shadow_deployment.data.db import connect
from shadow_deployment.ledger import predictions
from shadow_deployment.ledger.verdicts import NewVerdict
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.judging import judge_challenger
from shadow_deployment.pipeline.run import run_days
from tests.conftest import Invoke
from tests.production import MATURITY, World, day, moment

RUN = 6
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
LENIENT = {"metric": "error_rate", "is": "at_most", "value": 0.5}
PASSING = {"burn_in": 2, "rules": [LENIENT]}
EMPTY = "SFO"  # an origin whose requests never get a label
Produce = Callable[..., World]


def run(world: World, numbers: range, *, unanswered: int = 0, **changes: Any) -> None:
    """Run days, on so many of which the challenger answers no request."""
    shadow = world.shadow(**{"challengers": [OTHER], **changes})
    problems = run_days(shadow, [day(number) for number in numbers], Console(file=io.StringIO()))
    assert ["none of 60 requests has an answer" in str(problem) for problem in problems] == [True] * unanswered


def judged(world: World, number: int, **changes: Any) -> NewVerdict:
    """Judge on what is there, without writing it down."""
    deployment = world.deploy(**{"challengers": [OTHER], **changes})
    world.register_before_the_first_day(deployment)
    with connect(world.connection("shadow_db")) as session:
        (challenger,) = deployment.challengers
        key = predictions.challenger_id(session, deployment, challenger, model_digest(challenger))
        return judge_challenger(session, deployment, challenger, key, day(number))


def known(log: pd.DataFrame, outcome: pd.DataFrame, number: int, cutoff: int) -> pd.DataFrame:
    """A day's requests with the label that was known at the cutoff, NaN where none was."""
    requests = log[(log.predicted_at >= moment(number)) & (log.predicted_at < moment(number + 1))]
    until = min(moment(cutoff), moment(number + 1 + MATURITY))
    there = outcome[outcome.known_at <= until].set_index("request_id").is_late
    return requests.assign(label=requests.request_id.map(there))


def labels_of(invoke: Invoke, world: World, **changes: Any) -> list[dict[str, Any]]:
    world.deploy(**{"challengers": [OTHER], **changes})
    code, out, err = invoke("labels", "late", "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]
