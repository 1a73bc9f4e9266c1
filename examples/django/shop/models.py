"""Tables, and the TVIEW that is computed from them."""

from django.db import models


class Customer(models.Model):
    name = models.TextField()


class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)


class Line(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2)


class CustomerTotal(models.Model):
    """The TVIEW: one row for each customer. Made by migration 0002; nothing writes it but the database."""

    customer = models.OneToOneField(Customer, primary_key=True, on_delete=models.DO_NOTHING, related_name="total", db_constraint=False)
    orders = models.BigIntegerField()
    spent = models.DecimalField(max_digits=20, decimal_places=2)

    class Meta:
        managed = False
        db_table = "customer_total"
