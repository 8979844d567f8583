"""A sequence that passes."""

import pytest

from shadow_deployment.report.views import SequenceView
from tests.unit.report import figures


@pytest.fixture(scope="module")
def passing() -> SequenceView:
    facts = figures.a_sequence(64, effect=0.03)
    assert facts.rule.finding.outcome == "PASS"
    return facts
