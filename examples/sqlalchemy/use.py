"""Writes by a session, and what the TVIEW has of it before and after the commit. Prints what it sees."""

import os
from decimal import Decimal

from models import Customer, CustomerTotal, Order
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.orm import Session


def main():
    engine = create_engine(os.environ["DATABASE_URL"])
    with Session(engine) as session:
        ada = Customer(name="Ada", orders=[Order(amount=Decimal("12.50")), Order(amount=Decimal("7.50"))])
        session.add(ada)
        session.flush()  # sends the INSERTs
        total = session.get(CustomerTotal, ada.id)
        print("in the transaction:", total.name, total.orders, total.spent)
        ada.name = "Ada Lovelace"
        session.delete(ada.orders[0])
        session.flush()
        session.refresh(total)
        print("after more writes:", total.name, total.orders, total.spent)
        number = ada.id
        session.commit()
    with Session(engine) as session:
        session.add(Order(customer_id=number, amount=1000))
        session.flush()
        print("not committed:", session.scalar(select(CustomerTotal.spent)))
        session.rollback()
        print("rolled back:", session.scalar(select(func.sum(CustomerTotal.spent))))
        print("verified:", session.scalar(text("SELECT bool_and(ok) FROM tviews.verify_all()")))


if __name__ == "__main__":
    main()
