"""Run the migrations on the connection that `jobs.store.connection` hands over."""

from alembic import context
from sqlmodel import SQLModel

# The tables register themselves in the metadata.
import jobs.store.file_batches.batch_tables
import jobs.store.file_tables
import jobs.store.pictures.follow_ups
import jobs.store.response_rows
import jobs.store.rows.job_counts
import jobs.store.tables
import jobs.store.webhooks.webhook_table  # noqa: F401

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
