"""What the ORM writes is in the TVIEW, inside of the transaction already."""

from decimal import Decimal

from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase

from .models import Customer, CustomerTotal, Line, Order


def buy(customer, *prices):
    order = Order.objects.create(customer=customer)
    Line.objects.bulk_create(Line(order=order, product=f"product {n}", price=price) for n, price in enumerate(prices))
    return order


def total(customer):
    found = CustomerTotal.objects.get(pk=customer.pk)
    return found.orders, found.spent


class InsideATransaction(TestCase):
    def setUp(self):
        self.ada = Customer.objects.create(name="Ada")
        buy(self.ada, Decimal("12.50"), Decimal("7.50"))

    def test_created(self):
        self.assertEqual(total(self.ada), (1, Decimal("20.00")))

    def test_updated(self):
        Line.objects.filter(order__customer=self.ada).update(price=Decimal("1.25"))
        self.assertEqual(total(self.ada), (1, Decimal("2.50")))

    def test_deleted(self):
        Order.objects.filter(customer=self.ada).delete()
        self.assertFalse(CustomerTotal.objects.filter(pk=self.ada.pk).exists())

    def test_rolled_back_to_a_savepoint(self):
        try:
            with transaction.atomic():
                buy(self.ada, Decimal("1000"))
                self.assertEqual(total(self.ada), (2, Decimal("1020.00")))
                raise ValueError
        except ValueError:
            pass
        self.assertEqual(total(self.ada), (1, Decimal("20.00")))

    def test_joined(self):
        best = Customer.objects.select_related("total").filter(total__spent__gte=20).get()
        self.assertEqual((best.name, best.total.orders), ("Ada", 1))

    def test_not_writable(self):
        with self.assertRaisesMessage(Exception, "cannot change materialized view"), transaction.atomic():
            CustomerTotal.objects.update(orders=0)


class Committed(TransactionTestCase):
    def test_equal_to_its_query(self):
        grace = Customer.objects.create(name="Grace")
        with transaction.atomic():
            for price in range(1, 6):
                buy(grace, price, price)
        self.assertEqual(total(grace), (5, 30))
        with connection.cursor() as cursor:
            cursor.execute("SELECT bool_and(ok) FROM tviews.verify_all()")
            self.assertEqual(cursor.fetchone(), (True,))
