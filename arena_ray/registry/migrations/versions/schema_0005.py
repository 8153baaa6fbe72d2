"""Schema 0005: the calls of plugin executions, and what these are at work on; notes on revisions."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the journal. Executions that there are steer experiments; of those under way no call was written down."""
    op.execute("ALTER TABLE executions ADD COLUMN scope VARCHAR DEFAULT 'experiment' NOT NULL")
    reference = "CONSTRAINT fk_notes_revision_id REFERENCES revisions (revision_id)"
    op.execute(f"ALTER TABLE notes ADD COLUMN revision_id VARCHAR {reference}")
    op.create_table(
        "plugin_calls",
        sa.Column("execution_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("repeats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        *(sa.Column(name, sa.JSON(), nullable=name != "arguments") for name in ("arguments", "answer", "error")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("execution_id", "number", name="pk_plugin_calls"),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], name="fk_plugin_calls_execution_id"),
    )
