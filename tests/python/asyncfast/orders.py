"""Every kind of argument and message that a handler of AsyncFast has."""

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

from asyncfast import AsyncFast, Depends, Header, Message, MessageSender, Payload
from asyncfast.bindings import KafkaKey, SqsDelaySeconds, SqsMessageDeduplicationId, SqsMessageGroupId

app = AsyncFast(title="Orders", version="2.1.0")


class Status(Enum):
    PLACED = "placed"
    SHIPPED = "shipped"


@dataclass
class Item:
    sku: str
    amount: int = 1


@dataclass
class Order:
    id: UUID
    status: Status
    placed_at: datetime
    items: list[Item] = field(default_factory=list)
    note: str | None = None


@dataclass
class Shipped(Message, address="orders.shipped"):
    order: Order
    trace_id: Annotated[str, Header()]
    attempt: Annotated[int, Header(alias="X-Attempt")]
    key: Annotated[UUID, KafkaKey()]


@dataclass
class Mail(Message, address="mail.{customer}"):
    customer: str
    text: Annotated[str, Payload()]


@dataclass
class Billed(Message, address="orders.billed"):
    payload: dict[str, int]
    group: Annotated[str, SqsMessageGroupId()]
    deduplication: Annotated[str, SqsMessageDeduplicationId()]
    delay: Annotated[int, SqsDelaySeconds()]


@dataclass
class Ping(Message, address="ping"):
    pass


@dataclass
class Answer(Message):
    """Where to, the request says."""

    payload: str


async def trace(trace_id: Annotated[str | None, Header()] = None) -> str | None:
    return trace_id


@app.channel("orders.{region}.placed")
async def on_order(
    region: str,
    order: Order,
    key: Annotated[UUID, KafkaKey()],
    idempotency_key: Annotated[UUID, Header()],
    e_tag: Annotated[str, Header(alias="ETag")],
    sender: MessageSender[Shipped | Mail],
    trace: Annotated[str | None, Depends(trace)],
    page: Annotated[int, Header()] = 1,
    since: Annotated[date | None, Header()] = None,
) -> None:
    pass


@app.channel("orders.paid")
async def on_paid(
    order: Order, group: Annotated[str, SqsMessageGroupId()]
) -> AsyncGenerator[Billed | Ping, None]:
    yield Ping()


@app.channel("orders.cancelled")
def on_cancelled(payload: Annotated[Order, Payload()]) -> Generator[Shipped, None, None]:
    yield from ()


@app.channel("tick")
async def on_tick() -> None:
    pass


@app.channel("questions")
async def on_question(question: str, sender: MessageSender[Answer]) -> None:
    pass


@app.channel("anything")
async def on_anything(payload: Any) -> None:
    pass


@app.channel("untyped")
def on_untyped(payload) -> None:
    pass


@app.channel("numbers")
async def on_numbers(
    payload: list[int], timeout: Annotated[timedelta, Header()] = timedelta(seconds=1)
) -> None:
    pass
