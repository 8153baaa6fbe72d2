"""Schema 0003: revisions have names, notes and a maker, runs a description; notes; versions of policies."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.String(), nullable=nullable)


def _number(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Integer(), nullable=False)


def _foreign_key(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def upgrade() -> None:
    """Add the columns and tables of what plugins write, and of deployed policies."""
    reference = "CONSTRAINT fk_revisions_execution_id REFERENCES executions (execution_id)"
    op.execute("ALTER TABLE revisions ADD COLUMN name VARCHAR")
    op.execute("ALTER TABLE revisions ADD COLUMN notes TEXT")
    op.execute(f"ALTER TABLE revisions ADD COLUMN execution_id VARCHAR {reference}")
    reference = "CONSTRAINT fk_executions_revision_id REFERENCES revisions (revision_id)"
    op.execute(f"ALTER TABLE executions ADD COLUMN revision_id VARCHAR {reference}")
    op.execute("ALTER TABLE runs ADD COLUMN description TEXT")
    op.execute("ALTER TABLE runs ADD COLUMN deploy JSON")
    op.create_table(
        "notes",
        _number("serial"),
        _text("note_id"),
        _text("experiment_id"),
        *(_text(name, nullable=True) for name in ("execution_id", "run_id")),
        _text("call", nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        _time("created_at", nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_notes"),
        sa.UniqueConstraint("note_id", name="uq_notes_note_id"),
        sa.UniqueConstraint("execution_id", "call", name="uq_notes_execution_id_call"),
        _foreign_key("notes", "experiment_id", "experiments.experiment_id"),
        _foreign_key("notes", "execution_id", "executions.execution_id"),
        _foreign_key("notes", "run_id", "runs.run_id"),
    )
    op.create_index("ix_notes_experiment_id", "notes", ["experiment_id"])
    op.create_table(
        "policy_versions",
        _number("serial"),
        _text("name"),
        _number("version"),
        *(_text(name) for name in ("run_id", "checkpoint_id", "digest", "state")),
        sa.Column("reason", sa.Text()),
        _time("created_at", nullable=False),
        _time("ended_at"),
        sa.PrimaryKeyConstraint("serial", name="pk_policy_versions"),
        sa.UniqueConstraint("name", "version", name="uq_policy_versions_name_version"),
        _foreign_key("policy_versions", "run_id", "runs.run_id"),
        _foreign_key("policy_versions", "checkpoint_id", "checkpoints.checkpoint_id"),
    )
