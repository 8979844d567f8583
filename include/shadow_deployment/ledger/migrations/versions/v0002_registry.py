"""The registry: promotions, and the champion that they make."""

from shadow_deployment.ledger.migrations import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run("0002_registry.up.sql")


def downgrade() -> None:
    run("0002_registry.down.sql")
