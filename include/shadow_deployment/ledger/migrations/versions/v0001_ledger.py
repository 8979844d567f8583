"""The ledger as it began."""

from shadow_deployment.ledger.migrations import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    run("0001_ledger.up.sql")


def downgrade() -> None:
    run("0001_ledger.down.sql")
