"""How Alembic reaches the database: $DATABASE_URL, each revision in the transaction of all of them."""

import os

from alembic import context
from models import Base
from sqlalchemy import create_engine

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
