"""Alembic's entry: migrates the connection that ``registry/schema.py`` hands over, inside its transaction."""

from alembic import context

from arena_ray.registry.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
