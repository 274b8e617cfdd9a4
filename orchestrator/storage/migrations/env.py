"""What alembic runs: the missing versions, in the transaction that its caller has begun."""

from alembic import context

from orchestrator.storage.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite can, where the driver does not commit behind our back
)
context.run_migrations()
