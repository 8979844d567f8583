"""Labels as arrays, thousands a row, as the requests; read one by one they are a view."""

from shadow_deployment.ledger.migrations import run

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run("0011_labels_in_batches.up.sql")


def downgrade() -> None:
    run("0011_labels_in_batches.down.sql")
