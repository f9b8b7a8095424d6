"""Run by Alembic on the connection that `open_state` holds, inside its transaction and its lock."""

from alembic import context

from backend.adapters.state.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
