"""The documented example with something in it changed, and what is said of it."""

import pytest

from shadow_deployment.config.deployment import parse_deployment
from shadow_deployment.config.yaml_source import YamlSource
from shadow_deployment.errors import DeploymentError
from tests.builders import EXAMPLE, FILE

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
