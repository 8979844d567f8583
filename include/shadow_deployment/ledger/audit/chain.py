"""The hash chain of a deployment's verdicts and promotions.

Whoever owns the schema could compute a whole chain anew: that shows only against the hashes that manifests, reports and
alerts have kept.
"""

from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.reading import read_row, statement


@dataclass(frozen=True)
class ChainHead:
    """A row of a chain, as a rule the newest."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash[:16]}"


def head(session: Session[Any], deployment: Deployment) -> ChainHead | None:
    """Return the newest row of a deployment's chain, None before the first verdict."""
    return read_row(
        session,
        ChainHead,
        "SELECT c.number, c.hash FROM shadow.chain AS c JOIN shadow.deployment AS d ON d.id = c.deployment_id "
        "WHERE d.name = %s ORDER BY c.number DESC LIMIT 1",
        [deployment.name],
    )


def of_promotion(session: Session[Any], deployment: Deployment, number: int) -> ChainHead | None:
    """Return the row of a promotion of this number, None where it is in no chain."""
    return read_row(
        session,
        ChainHead,
        "SELECT c.number, c.hash FROM shadow.promotion AS p JOIN shadow.deployment AS d ON d.id = p.deployment_id "
        "JOIN shadow.chain AS c ON (c.kind, c.subject_id) = ('promotion', p.id) "
        "WHERE d.name = %s AND p.number = %s",
        [deployment.name, number],
    )


def first_break(session: Session[Any], deployment: Deployment) -> str | None:
    """Return what is wrong with a deployment's chain, None where it is whole."""
    values = {"deployment": deployment.name}
    broken = session.execute(statement("chain_break"), values).fetchone()
    if broken is not None:
        number, kind, subject, place, is_gone, is_changed = broken
        if number != place:
            return f"row {place} of the chain is gone"
        if is_gone:
            return f"{kind} {subject}, row {number} of the chain, is gone"
        if is_changed:
            return f"{kind} {subject}, row {number} of the chain, is not as it was when it was entered"
        return f"row {number} of the chain does not follow the row before it"
    unchained = session.execute(statement("unchained"), values).fetchone()
    return None if unchained is None else f"{unchained[0]} {unchained[1]} is not in the chain"
