"""Answers as arrays, thousands of requests a row; read one by one they are a view."""

from shadow_deployment.ledger.migrations import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run("0007_answers_in_batches.up.sql")


def downgrade() -> None:
    run("0007_answers_in_batches.down.sql")
