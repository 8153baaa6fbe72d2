"""The registry's tables as they are at the newest schema.

A table's ``serial`` gives the order in which rows were made, which times cannot: clocks step back, and two rows
may share a microsecond.
"""

from __future__ import annotations

import sqlalchemy as sa

from arena_ray.model.states import (
    AttemptOutcome,
    ExecutionState,
    ExploitCause,
    ExploitOutcome,
    Intent,
    PolicyState,
    Resume,
    RunState,
    Scope,
)
from arena_ray.registry.columns import Measured, Prose, UtcTime, Word

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("serial", sa.Integer, primary_key=True),
    sa.Column("experiment_id", sa.String, nullable=False, unique=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("project", sa.String),
    sa.Column("created_at", UtcTime, nullable=False),
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("serial", sa.Integer, primary_key=True),
    sa.Column("revision_id", sa.String, nullable=False, unique=True),
    sa.Column("experiment_id", sa.ForeignKey("experiments.experiment_id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("parent_id", sa.ForeignKey("revisions.revision_id")),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("runner", sa.String, nullable=False),
    sa.Column("script", sa.String, nullable=False),
    sa.Column("bundle", sa.String, nullable=False),
    sa.Column("env_id", sa.String, nullable=False),
    sa.Column("hyperparameters", sa.JSON, nullable=False),
    sa.Column("flags", sa.JSON, nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("resources", sa.JSON, nullable=False),
    sa.Column("checkpoint", sa.JSON, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("name", sa.String),
    sa.Column("notes", Prose),
    sa.Column("execution_id", sa.ForeignKey("executions.execution_id")),
    sa.UniqueConstraint("experiment_id", "number"),
    sa.UniqueConstraint("experiment_id", "digest"),
)

executions = sa.Table(
    "executions",
    metadata,
    sa.Column("serial", sa.Integer, primary_key=True),
    sa.Column("execution_id", sa.String, nullable=False, unique=True),
    sa.Column("experiment_id", sa.ForeignKey("experiments.experiment_id"), nullable=False, index=True),
    sa.Column("plugin", sa.String, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("script", sa.String, nullable=False),
    sa.Column("bundle", sa.String, nullable=False),
    sa.Column("flags", sa.JSON, nullable=False),
    sa.Column("state", Word(ExecutionState), nullable=False),
    sa.Column("reason", Prose),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("revision_id", sa.ForeignKey("revisions.revision_id", use_alter=True)),
    sa.Column("scope", Word(Scope), nullable=False, server_default="experiment"),
)

plugin_calls = sa.Table(
    "plugin_calls",
    metadata,
    sa.Column("execution_id", sa.ForeignKey("executions.execution_id"), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("repeats", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("method", sa.String, nullable=False),
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("answer", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("serial", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String, nullable=False, unique=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("experiment_id", sa.ForeignKey("experiments.experiment_id"), nullable=False, index=True),
    sa.Column("revision_id", sa.ForeignKey("revisions.revision_id"), nullable=False, index=True),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("state", Word(RunState), nullable=False, index=True),
    sa.Column("intent", Word(Intent), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("boundary", sa.BigInteger, nullable=False),
    sa.Column("global_step", sa.BigInteger, nullable=False),
    sa.Column("episodic_return", Measured),
    sa.Column("steps_per_second", Measured),
    sa.Column("node", sa.String),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("started_at", UtcTime),
    sa.Column("ended_at", UtcTime),
    sa.Column("reason", Prose),
    sa.Column("execution_id", sa.ForeignKey("executions.execution_id")),
    sa.Column("member", sa.Integer),
    sa.Column("hyperparameters", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("description", Prose),
    sa.Column("deploy", sa.JSON(none_as_null=True)),
    sa.Column("resume", Word(Resume), nullable=False, server_default="warm"),
    sa.Column("resume_reason", Prose),
    # An index, not a constraint: SQLite adds none to a table that exists.
    sa.Index("ix_runs_execution_id_member", "execution_id", "member", unique=True),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("node", sa.String, nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("resumed_from", sa.String),
    sa.Column("outcome", Word(AttemptOutcome)),
    sa.Column("reason", Prose),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("serial", sa.Integer, primary_key=True),
    sa.Column("checkpoint_id", sa.String, nullable=False, unique=True),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("boundary", sa.BigInteger, nullable=False),
    sa.Column("global_step", sa.BigInteger, nullable=False),
    sa.Column("uri", sa.String, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("policy_digest", sa.String, nullable=False),
    sa.Column("metrics_digest", sa.String, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("episodic_return", Measured),
    sa.Column("is_final", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("removed_at", UtcTime),
    sa.Column("removed_reason", Prose),
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.ForeignKeyConstraint(["run_id", "attempt"], ["attempts.run_id", "attempts.number"]),
    sa.Index("ix_checkpoints_run_id_boundary", "run_id", "boundary"),
)

milestones = sa.Table(
    "milestones",
    metadata,
    sa.Column("serial", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("boundary", sa.BigInteger, nullable=False),
    sa.Column("global_step", sa.BigInteger, nullable=False),
    sa.Column("score", Measured),
    sa.Column("is_measured", sa.Boolean, nullable=False),
    sa.Column("checkpoint_id", sa.ForeignKey("checkpoints.checkpoint_id"), nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.UniqueConstraint("run_id", "number"),
)

exploits = sa.Table(
    "exploits",
    metadata,
    sa.Column("serial", sa.Integer, primary_key=True),
    sa.Column("execution_id", sa.ForeignKey("executions.execution_id"), nullable=False, index=True),
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("milestone", sa.BigInteger, nullable=False),
    sa.Column("boundary", sa.BigInteger, nullable=False),
    sa.Column("global_step", sa.BigInteger, nullable=False),
    sa.Column("score", Measured),
    sa.Column("donor_run_id", sa.ForeignKey("runs.run_id"), nullable=False, index=True),
    sa.Column("donor_generation", sa.Integer, nullable=False),
    sa.Column("donor_milestone", sa.BigInteger, nullable=False),
    sa.Column("donor_checkpoint_id", sa.ForeignKey("checkpoints.checkpoint_id"), nullable=False),
    sa.Column("donor_digest", sa.String, nullable=False),
    sa.Column("donor_score", Measured),
    sa.Column("hyperparameters_before", sa.JSON, nullable=False),
    sa.Column("hyperparameters", sa.JSON, nullable=False),
    sa.Column("cause", Word(ExploitCause), nullable=False),
    sa.Column("outcome", Word(ExploitOutcome), nullable=False),
    sa.Column("reason", Prose),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.UniqueConstraint("run_id", "generation"),
)

notes = sa.Table(
    "notes",
    metadata,
    sa.Column("serial", sa.Integer, primary_key=True),
    sa.Column("note_id", sa.String, nullable=False, unique=True),
    sa.Column("experiment_id", sa.ForeignKey("experiments.experiment_id"), nullable=False, index=True),
    sa.Column("execution_id", sa.ForeignKey("executions.execution_id")),
    sa.Column("run_id", sa.ForeignKey("runs.run_id")),
    sa.Column("call", sa.String),
    sa.Column("text", Prose, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("revision_id", sa.ForeignKey("revisions.revision_id")),
    sa.UniqueConstraint("execution_id", "call"),
)

policy_versions = sa.Table(
    "policy_versions",
    metadata,
    sa.Column("serial", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), nullable=False),
    sa.Column("checkpoint_id", sa.ForeignKey("checkpoints.checkpoint_id"), nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("state", Word(PolicyState), nullable=False),
    sa.Column("reason", Prose),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.UniqueConstraint("name", "version"),
)
