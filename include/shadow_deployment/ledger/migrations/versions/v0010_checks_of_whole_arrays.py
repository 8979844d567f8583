"""What must hold of arrays is checked of all elements at once."""

from shadow_deployment.ledger.migrations import run

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run("0010_checks_of_whole_arrays.up.sql")


def downgrade() -> None:
    run("0010_checks_of_whole_arrays.down.sql")
