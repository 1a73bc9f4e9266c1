"""The TVIEW."""

from alembic import op

revision, down_revision = "0002", "0001"

CREATE = """
CREATE TVIEW customer_total AS
    SELECT c.id AS customer_id, c.name, count(*) AS orders, sum(o.amount) AS spent
      FROM customer c JOIN orders o ON o.customer_id = c.id
     GROUP BY c.id
"""


def upgrade():
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_tviews")
    op.execute(CREATE)


def downgrade():
    op.execute("DROP TVIEW customer_total")
