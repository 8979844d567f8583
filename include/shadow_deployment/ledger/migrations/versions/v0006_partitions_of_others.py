"""Two deployments that begin a day at once share its partitions."""

from shadow_deployment.ledger.migrations import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run("0006_partitions_of_others.up.sql")


def downgrade() -> None:
    run("0006_partitions_of_others.down.sql")
