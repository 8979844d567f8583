"""Questions to approvers with their answers, and alerts with their deliveries."""

from shadow_deployment.ledger.migrations import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run("0003_questions_and_alerts.up.sql")


def downgrade() -> None:
    run("0003_questions_and_alerts.down.sql")
