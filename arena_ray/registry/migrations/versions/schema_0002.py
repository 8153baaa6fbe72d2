"""Schema 0002: executions, milestones, exploits; runs know their execution, hyperparameters and generation.

The columns are added in plain SQL: Alembic adds foreign keys to a table of SQLite only by copying it, which the
foreign keys of other tables to it forbid.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HYPERPARAMETERS_OF_THE_REVISION = """
UPDATE runs SET hyperparameters =
    (SELECT revisions.hyperparameters FROM revisions WHERE revisions.revision_id = runs.revision_id)
"""


def _time(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.String(), nullable=False)


def _number(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Integer(), nullable=False)


def _count(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _json(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.JSON(), nullable=False)


def _foreign_key(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def upgrade() -> None:
    """Add the tables of plugin executions, and to runs and checkpoints what ties them to these."""
    _create_executions()
    _extend_runs_and_checkpoints()
    _create_milestones()
    _create_exploits()


def _create_executions() -> None:
    op.create_table(
        "executions",
        _number("serial"),
        *(_text(name) for name in ("execution_id", "experiment_id", "plugin")),
        *(_json(name) for name in ("settings", "spec")),
        *(_text(name) for name in ("digest", "script", "bundle")),
        _json("flags"),
        _text("state"),
        sa.Column("reason", sa.Text()),
        _time("created_at", nullable=False),
        _time("ended_at"),
        sa.PrimaryKeyConstraint("serial", name="pk_executions"),
        sa.UniqueConstraint("execution_id", name="uq_executions_execution_id"),
        _foreign_key("executions", "experiment_id", "experiments.experiment_id"),
    )
    op.create_index("ix_executions_experiment_id", "executions", ["experiment_id"])


def _extend_runs_and_checkpoints() -> None:
    reference = "CONSTRAINT fk_runs_execution_id REFERENCES executions (execution_id)"
    op.execute(f"ALTER TABLE runs ADD COLUMN execution_id VARCHAR {reference}")
    op.execute("ALTER TABLE runs ADD COLUMN member INTEGER")
    op.execute("ALTER TABLE runs ADD COLUMN hyperparameters JSON DEFAULT '{}' NOT NULL")
    op.execute("ALTER TABLE runs ADD COLUMN generation INTEGER DEFAULT '0' NOT NULL")
    op.execute("ALTER TABLE checkpoints ADD COLUMN generation INTEGER DEFAULT '0' NOT NULL")
    op.execute(_HYPERPARAMETERS_OF_THE_REVISION)
    op.create_index("ix_runs_execution_id_member", "runs", ["execution_id", "member"], unique=True)


def _create_milestones() -> None:
    op.create_table(
        "milestones",
        _number("serial"),
        _text("run_id"),
        _count("number"),
        _number("generation"),
        _count("boundary"),
        _count("global_step"),
        sa.Column("score", sa.Double()),
        sa.Column("is_measured", sa.Boolean(), nullable=False),
        _text("checkpoint_id"),
        _time("created_at", nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_milestones"),
        sa.UniqueConstraint("run_id", "number", name="uq_milestones_run_id_number"),
        _foreign_key("milestones", "run_id", "runs.run_id"),
        _foreign_key("milestones", "checkpoint_id", "checkpoints.checkpoint_id"),
    )


def _create_exploits() -> None:
    op.create_table(
        "exploits",
        _number("serial"),
        *(_text(name) for name in ("execution_id", "run_id")),
        _number("generation"),
        *(_count(name) for name in ("milestone", "boundary", "global_step")),
        sa.Column("score", sa.Double()),
        _text("donor_run_id"),
        _number("donor_generation"),
        _count("donor_milestone"),
        *(_text(name) for name in ("donor_checkpoint_id", "donor_digest")),
        sa.Column("donor_score", sa.Double()),
        *(_json(name) for name in ("hyperparameters_before", "hyperparameters")),
        *(_text(name) for name in ("cause", "outcome")),
        sa.Column("reason", sa.Text()),
        _time("created_at", nullable=False),
        _time("ended_at"),
        sa.PrimaryKeyConstraint("serial", name="pk_exploits"),
        sa.UniqueConstraint("run_id", "generation", name="uq_exploits_run_id_generation"),
        _foreign_key("exploits", "execution_id", "executions.execution_id"),
        _foreign_key("exploits", "run_id", "runs.run_id"),
        _foreign_key("exploits", "donor_run_id", "runs.run_id"),
        _foreign_key("exploits", "donor_checkpoint_id", "checkpoints.checkpoint_id"),
    )
    for column in ("execution_id", "donor_run_id"):
        op.create_index(f"ix_exploits_{column}", "exploits", [column])
