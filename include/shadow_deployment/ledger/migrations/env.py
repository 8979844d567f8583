"""What Alembic runs for each of its commands."""

from alembic import context

from shadow_deployment.ledger.migrations import migrate_in

migrate_in(context)
