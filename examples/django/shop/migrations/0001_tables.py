"""The tables."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Customer", [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())]),
        migrations.CreateModel("Order", [
            ("id", models.BigAutoField(primary_key=True)),
            ("customer", models.ForeignKey(to="shop.customer", on_delete=django.db.models.deletion.CASCADE)),
        ]),
        migrations.CreateModel("Line", [
            ("id", models.BigAutoField(primary_key=True)),
            ("order", models.ForeignKey(to="shop.order", on_delete=django.db.models.deletion.CASCADE, related_name="lines")),
            ("product", models.TextField()),
            ("price", models.DecimalField(max_digits=8, decimal_places=2)),
        ]),
    ]
