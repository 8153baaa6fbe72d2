"""Schema 0004: runs say how they resume."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add how a run resumes. Of those that there are nobody has looked: they resume, no more is known."""
    op.execute("ALTER TABLE runs ADD COLUMN resume VARCHAR DEFAULT 'warm' NOT NULL")
    op.execute("ALTER TABLE runs ADD COLUMN resume_reason TEXT")
