"""The step `judge`: a verdict on one challenger from the evidence up to a day. The rules: challengers/judging.py."""

import datetime as dt

from shadow_deployment.context import DeploymentContext
from shadow_deployment.ledger import verdicts
from shadow_deployment.ledger.verdicts import NewVerdict
from shadow_deployment.pipeline.challengers.identities import challenger_key
from shadow_deployment.pipeline.challengers.judging import judge_challenger
from shadow_deployment.pipeline.challengers.trials import opening


def judge(context: DeploymentContext, day: dt.date, challenger_name: str) -> NewVerdict:
    """Judge one challenger on the evidence up to a day, and store the verdict."""
    deployment = context.deployment
    challenger = deployment.challenger(challenger_name)
    with context.ledger() as session:
        key = challenger_key(context, session, challenger)
        judged = judge_challenger(session, deployment, challenger, key, day, trial_for=opening(context))
        verdicts.store(session, deployment, judged)
    return judged
