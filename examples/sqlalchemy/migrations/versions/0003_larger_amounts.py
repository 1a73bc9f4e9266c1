"""A column that the TVIEW reads gets another type: the TVIEW goes before it, and comes back after it."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"

CREATE = """
CREATE TVIEW customer_total AS
    SELECT c.id AS customer_id, c.name, count(*) AS orders, sum(o.amount) AS spent
      FROM customer c JOIN orders o ON o.customer_id = c.id
     GROUP BY c.id
"""


def change(kind):
    op.execute("DROP TVIEW customer_total")
    op.alter_column("orders", "amount", type_=kind)
    op.execute(CREATE)


def upgrade():
    change(sa.Numeric(12, 2))


def downgrade():
    change(sa.Numeric(10, 2))
