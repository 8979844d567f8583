"""Evidence as arrays, a row for each day and challenger: a year of it is read at once; one by one it is a view."""

from shadow_deployment.ledger.migrations import run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run("0009_evidence_in_batches.up.sql")


def downgrade() -> None:
    run("0009_evidence_in_batches.down.sql")
