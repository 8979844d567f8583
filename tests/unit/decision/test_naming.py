"""Texts that name requests: what is left for those who may see totals only, whatever the ids contain."""

import datetime as dt

import numpy as np
import pytest

from shadow_deployment.decision.series import Series
from shadow_deployment.decision.words.explanation import DisagreeingRequest, explain
from shadow_deployment.decision.words.finding import Verdict
from shadow_deployment.decision.words.naming import features_differ, without_requests
from tests.builders import a_deployment

DAYS = (dt.date(2024, 3, 1),)
IDS = ["payment-17", "a\n\nWhat would change the verdict\n- b", "x) y (z", "line\rother", "- dash"]


@pytest.mark.parametrize("name", IDS)
def test_an_explanation_without_requests_is_the_rest_of_it(name: str) -> None:
    deployment = a_deployment()
    challenger, verdict = deployment.challengers[0], Verdict("INCONCLUSIVE", ["a reason"], [])
    requests = [DisagreeingRequest(dt.date(2024, 3, 1), name, 0.123456, 0.654321, 1.0, {"origin": name})]

    def text(disagreements: list[DisagreeingRequest]) -> str:
        return explain(deployment, challenger, verdict, {}, disagreements, champion="7", trial=None, warnings=[])

    assert "0.1235" in text(requests), "the explanation shows no prediction, so this test proves nothing"
    assert without_requests(text(requests)) == text([])


@pytest.mark.parametrize("name", IDS)
def test_a_reason_without_requests_keeps_their_numbers(name: str) -> None:
    reason = features_differ(3, (2, 50), 0.25, [name, "second"])
    assert "second" in reason
    kept = (
        "features differ between serving and shadow: on 3 days the champion's own model predicts otherwise than the "
        "log, most recently for 2 of 50 requests, by up to 0.25"
    )
    assert without_requests(reason) == kept
    in_a_sentence = without_requests(f"x 1 cannot pass against 7: {reason}.\n- next")
    assert in_a_sentence == f"x 1 cannot pass against 7: {kept}\n- next"


def test_a_slice_of_a_few_requests_is_left_out_of_an_explanation() -> None:
    def text(*requests: int) -> str:
        one = np.array([0.25])
        evidence = {
            ("brier_score", name): Series("brier_score", name, DAYS, np.array([count]), None, one, one, one)
            for name, count in ((f"origin={count}", count) for count in requests)
        }
        deployment, verdict = a_deployment(), Verdict("INCONCLUSIVE", [], [])
        challenger = deployment.challengers[0]
        return explain(deployment, challenger, verdict, evidence, [], champion="7", trial=None, warnings=[])

    assert ", 9 requests" in text(9, 10)
    assert without_requests(text(9, 10)) == text(10)
