"""A deployment in words, as Markdown: what is shadowed, and when it passes."""

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import Rule


def describe(deployment: Deployment) -> str:
    """Return what the deployment does and what its policy asks, for the DAG's page."""
    requests, labels, policy = deployment.requests, deployment.labels, deployment.policy
    promotable = _listed([challenger.name for challenger in deployment.promotable])
    challengers = _listed([challenger.name for challenger in deployment.challengers])
    lines = [
        f"### Shadow deployment `{deployment.name}`",
        "",
        (
            f"Each {policy.period} a sample of the requests in `{requests.table}` is answered by {challengers}, and "
            f"compared with what the champion answered (`{requests.prediction}`). Nobody is served these answers; "
            "production is only read."
        ),
        "",
        f"- **Sample:** {_sample(deployment)}",
        (
            f"- **Labels:** `{labels.column}`, expected for up to {labels.maturity_days} days. "
            f"A {policy.period} counts once all its labels are known, or none is expected any more; to pass, "
            f"{policy.minimum_coverage:.4g} of the requests of such {policy.period}s must have one."
        ),
        (
            f"- **Error rate:** {policy.alpha:g} of promoting a challenger that is not better, although somebody "
            f"looks every {policy.period}, whichever of {promotable} it is, and however many are tried in a year."
        ),
        f"- **Unit:** one observation a {policy.unit}; no verdict before {policy.observations_before_bound} of them.",
        "",
        "A challenger passes when every blocking rule holds, fails when one does not, and is inconclusive else:",
        "",
        *(f"{number}. {_rule(rule)}" for number, rule in enumerate(policy.rules, 1)),
    ]
    return "\n".join(lines)


def describe_promotion(deployment: Deployment) -> str:
    """Return how a challenger becomes champion here, for the promotion DAG's page."""
    policy = deployment.promotion
    often = (
        "a PASS"
        if policy.consecutive == 1
        else f"{policy.consecutive} judged {deployment.policy.period}s of PASS in a row"
    )
    lines = [
        f"### Promotion in `{deployment.name}`",
        "",
        (
            f"Starts when a challenger has {often}, and by hand for one that passes. It is checked again before the "
            "promotion: model file, evidence, champion and policy must be those of the approval request."
        ),
        "",
    ]
    if policy.approval == "automatic":
        return "\n".join([*lines, "- **Approval:** none is asked for; the policy promotes."])
    who = _listed(policy.approvers) if policy.approvers else "whoever may answer required actions in Airflow"
    return "\n".join(
        [
            *lines,
            f"- **Approval** by {who}, within {policy.response_hours} hours; silence changes nothing.",
            f"- **Asked once:** a rejection holds until the request changes, silence for {policy.ask_again_days} days.",
            f"- **Afterwards** the former champion is judged against the new one for {policy.watch_days} days.",
        ]
    )


def describe_rollback(deployment: Deployment) -> str:
    """Return how the former champion comes back, for the rollback DAG's page."""
    is_automatic = deployment.promotion.rollback == "automatic"
    by_itself = ", and by itself when it turns out better than the new one" if is_automatic else ""
    return "\n".join(
        [
            f"### Rollback in `{deployment.name}`",
            "",
            (
                "Puts the champion back that the newest promotion has replaced: by hand, with a reason that is kept"
                f"{by_itself}. A second rollback goes one promotion further back."
            ),
        ]
    )


def describe_replay(deployment: Deployment) -> str:
    """Return how a new challenger answers past days, for the replay DAG's page."""
    counts = (
        "count toward PASS from its declared `trained_until` on"
        if deployment.policy.replay == "count"
        else "inform and may FAIL it, and do not count toward PASS"
    )
    return "\n".join(
        [
            f"### Replay in `{deployment.name}`",
            "",
            (
                f"A new challenger answers the newest snapshots that are kept, at most {deployment.policy.replay_days} "
                "days, and is judged: by itself where it declares `trained_until`, and by hand. Production is not read."
            ),
            "",
            f"- **Evidence:** its trial is opened before that, so these days are replayed: they {counts}.",
        ]
    )


def _rule(rule: Rule) -> str:
    return f"{rule} *({rule.role}{'' if rule.role == 'blocking' else ', shown only'})*"


def _sample(deployment: Deployment) -> str:
    sample = deployment.sample
    by = f" in each {' and '.join(sample.strata)}" if sample.strata else ""
    least = f", at least {sample.minimum_per_stratum}" if sample.minimum_per_stratum else ""
    return f"{sample.rate:.4g} of the requests{by}{least}, at most {sample.max_rows:,} a {deployment.policy.period}"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
