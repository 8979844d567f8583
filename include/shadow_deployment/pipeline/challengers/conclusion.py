"""Which challengers are scored no more on a day, since their trials were concluded by a FAIL."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger import snapshots, trials
from shadow_deployment.pipeline.challengers.basis import champion_of
from shadow_deployment.pipeline.challengers.trials import conclusion_of, known_trial


def concluded(
    session: Session[Any], deployment: Deployment, keys: Mapping[str, int], day: dt.date
) -> dict[str, dt.date]:
    """Return the challengers whose trials were concluded before a day, and when; `keys` are as of `challenger_keys`."""
    withdrawn = trials.withdrawn(session, deployment)
    taken = [each for each in snapshots.snapshots(session, deployment, None, day) if each.day not in withdrawn]
    version, ends = champion_of(taken), {}
    for name, key in keys.items():
        trial = known_trial(session, deployment, deployment.challenger(name), key, version)
        end = None if trial is None else conclusion_of(session, deployment, trial, key, day)
        if end is not None:
            ends[name] = end
    return ends
