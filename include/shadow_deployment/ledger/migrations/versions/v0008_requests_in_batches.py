"""Requests as arrays, thousands a row, as the answers to them; read one by one they are a view."""

from shadow_deployment.ledger.migrations import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run("0008_requests_in_batches.up.sql")


def downgrade() -> None:
    run("0008_requests_in_batches.down.sql")
