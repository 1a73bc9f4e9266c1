"""The TVIEW. Its model is part of the state of the migrations only: the database makes it from SQL."""

import django.db.models.deletion
from django.db import migrations, models

CREATE = """
CREATE TVIEW customer_total AS
    SELECT o.customer_id, count(DISTINCT o.id) AS orders, sum(l.price) AS spent
      FROM shop_order o JOIN shop_line l ON l.order_id = o.id
     GROUP BY o.customer_id
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_tables")]
    operations = [
        migrations.RunSQL("CREATE EXTENSION IF NOT EXISTS pg_tviews", migrations.RunSQL.noop),
        migrations.RunSQL(CREATE, "DROP TVIEW customer_total", state_operations=[
            migrations.CreateModel("CustomerTotal", [
                ("customer", models.OneToOneField(to="shop.customer", primary_key=True, serialize=False, db_constraint=False, related_name="total",
                                                  on_delete=django.db.models.deletion.DO_NOTHING)),
                ("orders", models.BigIntegerField()),
                ("spent", models.DecimalField(max_digits=20, decimal_places=2)),
            ], options={"db_table": "customer_total", "managed": False}),
        ]),
    ]
