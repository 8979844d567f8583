"""Partitions that are made without locking the tables that others read."""

from shadow_deployment.ledger.migrations import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run("0005_partitions_beside.up.sql")


def downgrade() -> None:
    run("0005_partitions_beside.down.sql")
