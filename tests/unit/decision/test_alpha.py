"""Alpha: divided among challengers to pass, among sequences to fail."""

import pytest

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.alpha import AlphaSplit, alpha_of_evidence, alpha_used, split_alpha
from tests.unit.decision.test_calibration import GUARDRAIL, SUPERIOR, evidence, series

FEW_ERRORS = {"metric": "error_rate", "is": "at_most", "value": 0.01}


@pytest.mark.parametrize(("promotable", "alarms"), [(1, 1), (4, 10), (0, 0)])
def test_alpha_is_divided_and_never_by_zero(promotable: int, alarms: int) -> None:
    policy = Policy.model_validate({"alpha": 0.1, "rules": [SUPERIOR]})
    split = split_alpha(policy, promotable=promotable, alarms=alarms)
    assert split == AlphaSplit(0.1 / max(promotable, 1), 0.1 / max(alarms, 1))


def test_alarms_are_the_slices_of_blocking_rules_that_have_a_sequence() -> None:
    rules = [SUPERIOR | {"slices": ["origin"]}, GUARDRAIL, FEW_ERRORS, SUPERIOR | {"role": "advisory"}]
    found = evidence(*(series([0.0], name=name) for name in ("all", "origin=EWR", "origin=JFK")))
    policy = Policy.model_validate({"rules": rules})
    assert alpha_of_evidence(policy, found, to_pass=0.025) == AlphaSplit(0.025, 0.05 / 4)


def test_the_alphas_of_a_stored_verdict_are_those_of_its_first_sequence() -> None:
    assert alpha_used([(None, None), (0.02, 0.01), (0.5, 0.5)]) == AlphaSplit(0.02, 0.01)
    assert alpha_used([(None, None)]) is None
