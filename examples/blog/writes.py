"""What the application writes, by SQLAlchemy, to tables only: no function here knows of documents or caches."""

import uuid

from sqlalchemy import ForeignKey, Identity, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "tb_user"
    pk_user: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(server_default=func.gen_random_uuid())
    identifier: Mapped[str]
    name: Mapped[str]


class Post(Base):
    __tablename__ = "tb_post"
    pk_post: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(server_default=func.gen_random_uuid())
    identifier: Mapped[str]
    fk_user: Mapped[int] = mapped_column(ForeignKey("tb_user.pk_user"))
    title: Mapped[str]
    author: Mapped[User] = relationship()
    comments: Mapped[list["Comment"]] = relationship(back_populates="post")


class Comment(Base):
    __tablename__ = "tb_comment"
    pk_comment: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(server_default=func.gen_random_uuid())
    fk_post: Mapped[int] = mapped_column(ForeignKey("tb_post.pk_post"))
    fk_user: Mapped[int] = mapped_column(ForeignKey("tb_user.pk_user"))
    content: Mapped[str]
    post: Mapped[Post] = relationship(back_populates="comments")
    author: Mapped[User] = relationship()


def one(session: Session, entity, **columns):
    return session.scalars(select(entity).filter_by(**columns)).one()


def rename_user(session: Session, identifier: str, name: str):
    one(session, User, identifier=identifier).name = name


def add_comment(session: Session, post: str, author: str, content: str) -> str:
    """The new comment's id."""
    comment = Comment(post=one(session, Post, identifier=post), author=one(session, User, identifier=author), content=content)
    session.add(comment)
    session.flush()
    return str(comment.id)


def edit_comment(session: Session, id: str, content: str):
    one(session, Comment, id=uuid.UUID(id)).content = content


def delete_comment(session: Session, id: str):
    session.delete(one(session, Comment, id=uuid.UUID(id)))
