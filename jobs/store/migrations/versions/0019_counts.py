"""Counts of jobs, kept as the rows change, and indexes that lists of any length need."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

#: Indexes with entries for few of the rows: a new job costs nothing there.
_FEW = {
    "job_idempotency_key": (["idempotency_key"], "idempotency_key IS NOT NULL"),
    "job_cache_key": (["cache_key"], "cache_key IS NOT NULL"),
    "job_batch_finished": (["batch_id", "finished_order"], "finished_order IS NOT NULL"),
    "job_flawed": (["status", "created_at"], "quality IS NOT NULL"),
    "job_not_as_asked": (["status", "created_at"], "error_code IS NOT NULL AND finish_reason IS NOT NULL"),
}
# SQLite plans queries by the numbers of rows (all, and for one value of the first columns of an index). Without numbers it
# expects ten rows with one status, and looks for sixteen jobs by their ids among all jobs that wait. Measured numbers would be
# those of a small database, or of none: these are a large one's.
_NUMBERS = {
    ("job", "sqlite_autoindex_job_1"): "1000000 1",
    ("job", "job_batch_status"): "1000000 10000 5000 1",
    ("job", "job_status_created"): "1000000 200000 1",
    ("job", "job_waiting"): "500000 250000 10000 1 1",
    ("job", "job_batch_finished"): "1000000 10000 1",
    ("job", "job_output"): "1000000 2",
    ("job", "job_cache_key"): "1000000 2",
    ("job", "job_idempotency_key"): "1000000 1",
    ("job", "job_flawed"): "10000 5000 1",
    ("job", "job_not_as_asked"): "10000 5000 1",
    ("batch", "sqlite_autoindex_batch_1"): "1000 1",
    ("batch", "batch_created"): "1000 1 1",
}
_NEW = ("job_flawed", "job_not_as_asked")
_SQLITE = (
    """
    CREATE TRIGGER job_count_update AFTER UPDATE OF batch_id, status, lane ON job BEGIN
        UPDATE job_count SET number = number - 1
            WHERE batch_id = ifnull(OLD.batch_id, '') AND status = OLD.status AND lane = OLD.lane;
        INSERT INTO job_count (batch_id, status, lane, number)
            VALUES (ifnull(NEW.batch_id, ''), NEW.status, NEW.lane, 1)
            ON CONFLICT DO UPDATE SET number = number + 1;
    END
    """,
    """
    CREATE TRIGGER job_count_delete AFTER DELETE ON job BEGIN
        UPDATE job_count SET number = number - 1
            WHERE batch_id = ifnull(OLD.batch_id, '') AND status = OLD.status AND lane = OLD.lane;
    END
    """,
    "CREATE TRIGGER batch_count_delete AFTER DELETE ON batch BEGIN DELETE FROM job_count WHERE batch_id = OLD.id; END",
)
# One statement changes any number of rows, and is counted once.
_POSTGRES = (
    """
    CREATE FUNCTION count_updated_jobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO job_count AS counted (batch_id, status, lane, number)
            SELECT coalesce(batch_id, ''), status, lane, sum(change) FROM (
                SELECT batch_id, status, lane, 1 AS change FROM new_jobs
                UNION ALL SELECT batch_id, status, lane, -1 FROM old_jobs
            ) AS changes GROUP BY 1, 2, 3 HAVING sum(change) <> 0
            ON CONFLICT (batch_id, status, lane) DO UPDATE SET number = counted.number + excluded.number;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER job_count_update AFTER UPDATE ON job
        REFERENCING NEW TABLE AS new_jobs OLD TABLE AS old_jobs
        FOR EACH STATEMENT EXECUTE FUNCTION count_updated_jobs()
    """,
    """
    CREATE FUNCTION count_deleted_jobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE job_count AS counted SET number = counted.number - gone.number FROM (
            SELECT coalesce(batch_id, '') AS batch_id, status, lane, count(*) AS number
                FROM old_jobs GROUP BY 1, 2, 3
        ) AS gone
        WHERE (counted.batch_id, counted.status, counted.lane) = (gone.batch_id, gone.status, gone.lane);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER job_count_delete AFTER DELETE ON job REFERENCING OLD TABLE AS old_jobs
        FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_jobs()
    """,
    """
    CREATE FUNCTION drop_counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM job_count WHERE batch_id = OLD.id;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER batch_count_delete AFTER DELETE ON batch FOR EACH ROW EXECUTE FUNCTION drop_counts()",
)


def upgrade() -> None:
    op.create_table(
        "job_count",
        sa.Column("batch_id", sa.String(), primary_key=True),
        sa.Column("status", sa.String(), primary_key=True),
        sa.Column("lane", sa.String(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
    op.create_index("job_count_status", "job_count", ["status", "lane"])
    op.execute(
        "INSERT INTO job_count SELECT coalesce(batch_id, ''), status, lane, count(*) FROM job"
        " GROUP BY coalesce(batch_id, ''), status, lane"
    )
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRES:
        op.execute(statement)
    for name, (columns, rows) in _FEW.items():
        if name not in _NEW:
            op.drop_index(name, "job")
        unique = name == "job_idempotency_key"
        op.create_index(name, "job", columns, unique=unique, sqlite_where=sa.text(rows), postgresql_where=sa.text(rows))
    op.drop_index("job_batch_status", "job")
    op.create_index("job_batch_status", "job", ["batch_id", "status", "created_at"])
    op.create_index("batch_created", "batch", ["created_at", "id"])
    if op.get_bind().dialect.name == "sqlite":
        # It makes the table of the numbers.
        op.execute("ANALYZE job")
        op.execute("DELETE FROM sqlite_stat1")
        numbers = sa.table("sqlite_stat1", *(sa.column(name) for name in ("tbl", "idx", "stat")))
        op.bulk_insert(numbers, [{"tbl": one, "idx": index, "stat": stat} for (one, index), stat in _NUMBERS.items()])
        # Reads the numbers again.
        op.execute("ANALYZE sqlite_schema")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1")
    op.drop_index("batch_created", "batch")
    op.drop_index("job_batch_status", "job")
    op.create_index("job_batch_status", "job", ["batch_id", "status"])
    for name, (columns, _) in _FEW.items():
        op.drop_index(name, "job")
        if name not in _NEW:
            op.create_index(name, "job", columns, unique=name == "job_idempotency_key")
    on_postgres = op.get_bind().dialect.name == "postgresql"
    for name, table in (("batch_count_delete", "batch"), ("job_count_delete", "job"), ("job_count_update", "job")):
        op.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if on_postgres else ""))
    if on_postgres:
        op.execute("DROP FUNCTION count_updated_jobs, count_deleted_jobs, drop_counts")
    op.drop_table("job_count")
