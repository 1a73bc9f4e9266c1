"""The tables."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Customer", [("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")), ("name", models.TextField())]),
        migrations.CreateModel("Order", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("customer", models.ForeignKey(to="shop.customer", on_delete=django.db.models.deletion.CASCADE)),
        ]),
        migrations.CreateModel("Line", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("order", models.ForeignKey(to="shop.order", on_delete=django.db.models.deletion.CASCADE, related_name="lines")),
            ("product", models.TextField()),
            ("price", models.DecimalField(max_digits=8, decimal_places=2)),
        ]),
    ]
