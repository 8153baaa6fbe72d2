"""Schema 0001: experiments, revisions, runs, attempts, checkpoints.

Types are written out rather than taken from ``tables.py``: this file says what was, that one what is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.String(), nullable=nullable)


def _count(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    """Make the first tables."""
    _create_experiments()
    _create_revisions()
    _create_runs()
    _create_attempts()
    _create_checkpoints()


def _create_experiments() -> None:
    op.create_table(
        "experiments",
        sa.Column("serial", sa.Integer(), nullable=False),
        _text("experiment_id"),
        _text("name"),
        _text("project", nullable=True),
        _time("created_at", nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_experiments"),
        sa.UniqueConstraint("experiment_id", name="uq_experiments_experiment_id"),
        sa.UniqueConstraint("name", name="uq_experiments_name"),
    )


def _create_revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("serial", sa.Integer(), nullable=False),
        _text("revision_id"),
        _text("experiment_id"),
        sa.Column("number", sa.Integer(), nullable=False),
        _text("parent_id", nullable=True),
        *(_text(name) for name in ("digest", "runner", "script", "bundle", "env_id")),
        *(
            sa.Column(name, sa.JSON(), nullable=False)
            for name in ("hyperparameters", "flags", "config", "resources", "checkpoint")
        ),
        _time("created_at", nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_revisions"),
        sa.UniqueConstraint("revision_id", name="uq_revisions_revision_id"),
        sa.UniqueConstraint("experiment_id", "number", name="uq_revisions_experiment_id_number"),
        sa.UniqueConstraint("experiment_id", "digest", name="uq_revisions_experiment_id_digest"),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.experiment_id"], name="fk_revisions_experiment_id"),
        sa.ForeignKeyConstraint(["parent_id"], ["revisions.revision_id"], name="fk_revisions_parent_id"),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("serial", sa.Integer(), nullable=False),
        *(_text(name) for name in ("run_id", "name", "experiment_id", "revision_id")),
        _count("seed"),
        _text("state"),
        _text("intent"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        _count("boundary"),
        _count("global_step"),
        sa.Column("episodic_return", sa.Double()),
        sa.Column("steps_per_second", sa.Double()),
        _text("node", nullable=True),
        _time("created_at", nullable=False),
        _time("started_at"),
        _time("ended_at"),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("serial", name="pk_runs"),
        sa.UniqueConstraint("run_id", name="uq_runs_run_id"),
        sa.UniqueConstraint("name", name="uq_runs_name"),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.experiment_id"], name="fk_runs_experiment_id"),
        sa.ForeignKeyConstraint(["revision_id"], ["revisions.revision_id"], name="fk_runs_revision_id"),
    )
    for column in ("experiment_id", "revision_id", "state"):
        op.create_index(f"ix_runs_{column}", "runs", [column])


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        _text("run_id"),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        _text("node"),
        _time("started_at", nullable=False),
        _time("ended_at"),
        _text("resumed_from", nullable=True),
        _text("outcome", nullable=True),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_attempts"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_attempts_run_id"),
    )


def _create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("serial", sa.Integer(), nullable=False),
        _text("checkpoint_id"),
        _text("run_id"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        _count("boundary"),
        _count("global_step"),
        *(_text(name) for name in ("uri", "digest", "policy_digest", "metrics_digest")),
        _count("size_bytes"),
        sa.Column("episodic_return", sa.Double()),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        _time("created_at", nullable=False),
        _time("removed_at"),
        sa.Column("removed_reason", sa.Text()),
        sa.PrimaryKeyConstraint("serial", name="pk_checkpoints"),
        sa.UniqueConstraint("checkpoint_id", name="uq_checkpoints_checkpoint_id"),
        sa.ForeignKeyConstraint(
            ["run_id", "attempt"], ["attempts.run_id", "attempts.number"], name="fk_checkpoints_run_id_attempt"
        ),
    )
    op.create_index("ix_checkpoints_run_id_boundary", "checkpoints", ["run_id", "boundary"])
