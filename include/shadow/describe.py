"""A deployment in words, as Markdown: what is shadowed, and when it passes."""

from include.shadow.deployment import Deployment
from include.shadow.rules import Rule


def describe(deployment: Deployment) -> str:
    """Return what the deployment does and what its policy asks, for the DAG's page."""
    requests, labels, policy = deployment.requests, deployment.labels, deployment.policy
    promotable = [one.name for one in deployment.promotable]
    lines = [
        f"### Shadow deployment `{deployment.name}`",
        "",
        (
            f"Each day a sample of the requests in `{requests.table}` is answered by "
            f"{_listed([one.name for one in deployment.challengers])}, and compared with what the champion answered "
            f"(`{requests.prediction}`). Nobody is served these answers: production is only read."
        ),
        "",
        f"- **Sample:** {_sample(deployment)}",
        (
            f"- **Labels:** `{labels.table}.{labels.value}`, expected for up to {labels.maturity_days} days. "
            f"A day counts {_coverage(deployment)}."
        ),
        (
            f"- **Error rate:** {policy.alpha:g} of promoting a challenger that is not better, although somebody "
            f"looks every day{_divided(promotable)}."
        ),
        f"- **Unit:** one observation a {policy.unit}; no verdict before {policy.burn_in} of them.",
        "",
        "A challenger passes when every gate holds, fails when one is shown not to hold, and is inconclusive between:",
        "",
        *(f"{number}. {_rule(rule)}" for number, rule in enumerate(policy.rules, 1)),
    ]
    return "\n".join(lines)


def _rule(rule: Rule) -> str:
    return f"{rule} *({rule.role}{'' if rule.role == 'gate' else ', shown only'})*"


def _sample(deployment: Deployment) -> str:
    sample = deployment.sample
    by = f" in each {' and '.join(sample.strata)}" if sample.strata else ""
    least = f", at least {sample.minimum_per_stratum}" if sample.minimum_per_stratum else ""
    return f"{sample.rate:.4g} of the requests{by}{least}, at most {sample.max_rows:,} a day"


def _coverage(deployment: Deployment) -> str:
    share = deployment.policy.minimum_coverage
    known = "all its labels are known" if share == 1 else f"{share:.0%} of its labels are known"
    return f"once {known}, or none is expected any more"


def _divided(names: list[str]) -> str:
    return f", divided among {_listed(names)}" if len(names) > 1 else ""


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
