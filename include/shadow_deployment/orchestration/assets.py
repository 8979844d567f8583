"""The assets of a deployment: what other DAGs can wait for, and what starts its promotion.

Each event carries its facts in `extra`; whether there is one depends on the outcome, so tasks have the deployment's
alias as their outlet and add the events that have occurred.
"""

from airflow.sdk import Asset, AssetAlias


def alias(name: str) -> AssetAlias:
    """Return the outlet of the tasks that announce."""
    return AssetAlias(f"shadow_{name}")


def verdict(name: str) -> Asset:
    """Return the asset of verdicts; events say challenger, version, day, outcome, champion_version, decided_on."""
    return Asset(f"shadow_{name}_verdict", uri=f"shadow://{name}/verdict")


def promotion_request(name: str) -> Asset:
    """Return the asset of a challenger to be asked about; events say challenger, day, case."""
    return Asset(f"shadow_{name}_case", uri=f"shadow://{name}/case")


def regression(name: str) -> Asset:
    """Return the asset of a former champion that is better; events say promotion, day, reason."""
    return Asset(f"shadow_{name}_regression", uri=f"shadow://{name}/regression")


def replay(name: str) -> Asset:
    """Return the asset of a new challenger that has days to replay; events say challenger."""
    return Asset(f"shadow_{name}_replay", uri=f"shadow://{name}/replay")


def champion(name: str) -> Asset:
    """Return the asset of the champion; events say number, kind, name, version, digest, approved_by."""
    return Asset(f"shadow_{name}_champion", uri=f"shadow://{name}/champion")
