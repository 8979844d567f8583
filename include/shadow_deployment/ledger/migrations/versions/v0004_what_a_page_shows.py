"""Answers in bins, where the models disagree, and the indexes by which a page reads."""

from shadow_deployment.ledger.migrations import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run("0004_what_a_page_shows.up.sql")


def downgrade() -> None:
    run("0004_what_a_page_shows.down.sql")
