"""Run the migrations on the connection that `jobs.store.connection` hands over."""

from alembic import context
from sqlmodel import SQLModel

import jobs.store.batch_tables
import jobs.store.tables  # noqa: F401  (the tables register themselves in the metadata)

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
