"""A column that the TVIEW reads gets another type: the TVIEW goes before it, and comes back after it."""

from importlib import import_module

from django.db import migrations, models

CREATE = import_module("shop.migrations.0002_customer_total").CREATE


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_customer_total")]
    operations = [
        migrations.RunSQL("DROP TVIEW customer_total", CREATE),
        migrations.AlterField("line", "price", models.DecimalField(max_digits=10, decimal_places=2)),
        migrations.RunSQL(CREATE, "DROP TVIEW customer_total"),
    ]
