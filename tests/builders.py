"""The example deployment of the documentation, to load as it is or changed."""

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from shadow_deployment.config.deployment import Deployment, parse_deployment
from shadow_deployment.config.yaml_source import YamlSource
from shadow_deployment.data.ports import LABELS
from shadow_deployment.decision.calendar import DayCounts
from shadow_deployment.decision.words.finding import Verdict
from shadow_deployment.ledger.batches.request_ids import SCHEMA as REQUESTS
from shadow_deployment.ledger.verdicts import NewVerdict

WITHOUT_LABELS = "; ".join(
    [
        *(f"ALTER TABLE shadow.{name} DISABLE TRIGGER USER" for name in ("label_arrival", "label_collection")),
        "TRUNCATE shadow.label_arrival, shadow.label_collection",
        *(f"ALTER TABLE shadow.{name} ENABLE TRIGGER USER" for name in ("label_arrival", "label_collection")),
    ]
)
FILE = "include/deployments/flight_delay.yaml"
EXAMPLE = """\
name: flight_delay
schedule: "0 0 * * *"
timezone: UTC
start: 2013-03-01
task: binary                     # binary | regression
requests: {conn_id: production_db, table: flights.prediction_log, id: request_id, time: predicted_at,
           features: [dep_hour, distance], prediction: champion_probability, version: model_version,
           latency: latency_ms}
labels:   {conn_id: production_db, table: flights.outcome, id: request_id, value: is_late, time: known_at,
           maturity_days: 3}
store:    {conn_id: shadow_db, snapshots: file:///var/lib/shadow/snapshots}
sample:   {rate: 0.5, strata: [origin], minimum_per_stratum: 100, max_rows: 100000, salt: flight_delay}
slices:   [origin, carrier]
challengers:
  - {name: gradient_boosting, version: "1", model: "onnx:include/models/gradient_boosting.onnx"}
  - {name: logged_elsewhere, version: "1", model: "logged:flights.prediction_log.other_probability"}
  - {name: a_a_check, model: champion}
expectations: {inputs: include/expectations/flight_inputs.json,
               predictions: include/expectations/flight_predictions.json}
policy:
  alpha: 0.05
  unit: day                      # day | week | request
  burn_in: 28
  rules:
    - {metric: brier_score, is: superior}
    - {metric: log_loss, is: non_inferior, margin: 0.005, slices: [origin]}
    - {metric: error_rate, is: at_most, value: 0.001}
    - {metric: agreement, is: at_least, value: 0.8, role: monitor}
"""

LOG_ALONE: dict[str, Any] = {  # for tests that read a whole log and decide nothing
    "sample": {"rate": 1.0, "strata": [], "minimum_per_stratum": 0},
    "slices": [],
    "challengers": [{"name": "a_a_check", "model": "champion"}],
    "policy": {"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]},
    "expectations": {},
}


def a_deployment(**changes: Any) -> Deployment:
    """Return the example with some keys changed; a mapping changes only the keys that it names."""
    content = yaml.safe_load(EXAMPLE)
    for key, value in changes.items():
        content[key] = content[key] | value if isinstance(value, dict) else value
    return parse_deployment(YamlSource(FILE, content))


def asked(requests: Mapping[int, str]) -> pa.Table:
    """Return requests, ordinal to id, as labels are asked for."""
    return _table([list(requests), list(requests.values())], REQUESTS)


def found_labels(rows: Sequence[tuple[int, float, dt.datetime, str | None]]) -> pa.Table:
    """Return labels as a source finds them: ordinal, value, when it became known, and the text of one that is none."""
    return _table(list(zip(*rows, strict=True)) or [()] * len(LABELS), LABELS)


def _table(columns: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    return pa.table([pa.array(values, each.type) for values, each in zip(columns, schema, strict=True)], schema=schema)


def a_verdict(day: dt.date, challenger: int, verdict: Verdict, **changes: Any) -> NewVerdict:
    """Return a verdict without evidence for it, on an input of its own."""
    given: dict[str, Any] = {
        "champion_version": "7",
        "trial": None,
        "days": DayCounts(counted=1, waiting=0, replayed=1, live=0, left_out={}, champion_versions={"7": 1}),
        "alpha": 0.05,
        "blocked": [],
        "counted": [],
        "shown": [],
        "warnings": [],
        "explanation": "",
        "judged_on": {"input": os.urandom(8).hex()},
    }
    return NewVerdict(day=day, challenger=challenger, verdict=verdict, **given | changes)
