"""Tables, and the TVIEW that is computed from them."""

from decimal import Decimal

from sqlalchemy import ForeignKey, MetaData, Numeric, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What Alembic compares with the database."""


class Derived(DeclarativeBase):
    """What the database computes: no table of ours, so Alembic does not see it."""

    metadata = MetaData()


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    orders: Mapped[list["Order"]] = relationship(back_populates="customer")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    customer: Mapped[Customer] = relationship(back_populates="orders")


class CustomerTotal(Derived):
    """The TVIEW: one row for each customer with orders."""

    __tablename__ = "customer_total"
    customer_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    orders: Mapped[int]
    spent: Mapped[Decimal] = mapped_column(Numeric)
