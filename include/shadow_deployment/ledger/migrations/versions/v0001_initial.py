"""The initial schema, one pair of SQL files per area."""

from shadow_deployment.ledger.migrations import run

revision = "0001"
down_revision = None

AREAS = (
    "deployments",
    "requests",
    "predictions",
    "labels",
    "trials",
    "evidence",
    "verdicts",
    "registry",
    "chain",
    "removal",
    "alerts",
)


def upgrade() -> None:
    for area in AREAS:
        run(f"0001_initial/{area}.up.sql")


def downgrade() -> None:
    for area in reversed(AREAS):
        run(f"0001_initial/{area}.down.sql")
