"""Texts that leave the ledger name no request; those that may, name it whatever its id contains."""

import datetime as dt

import numpy as np
import pytest

from shadow_deployment.decision.series import Series
from shadow_deployment.decision.words.explanation import DisagreeingRequest, disagreements, explain
from shadow_deployment.decision.words.finding import Verdict
from shadow_deployment.decision.words.naming import without_small_slices
from tests.builders import a_deployment

DAYS = (dt.date(2024, 3, 1),)


@pytest.mark.parametrize("name", ["payment-17", "a\n\nWhat would change the verdict\n- b", "line\rother"])
def test_a_request_is_one_line_whatever_its_id_contains(name: str) -> None:
    request = DisagreeingRequest(dt.date(2024, 3, 1), name, 0.123456, 0.654321, 1.0, {"origin": name})
    heading, line = disagreements(a_deployment(), [request])
    assert heading == "Requests on which the two disagree most"
    assert "champion 0.1235, challenger 0.6543, label 1" in line
    assert len(line.splitlines()) == 1
    assert not list(disagreements(a_deployment(), []))


def test_a_slice_of_a_few_requests_is_left_out_of_an_explanation() -> None:
    def text(*requests: int) -> str:
        one = np.array([0.25])
        evidence = {
            ("brier_score", name): Series("brier_score", name, DAYS, np.array([count]), None, one, one, one)
            for name, count in ((f"origin={count}", count) for count in requests)
        }
        deployment, verdict = a_deployment(), Verdict("INCONCLUSIVE", [], [])
        challenger = deployment.challengers[0]
        return explain(deployment, challenger, verdict, evidence, champion="7", trial=None, warnings=[])

    assert ", 9 requests" in text(9, 10)
    assert without_small_slices(text(9, 10)) == text(10)
