"""What an application of AsyncFast takes, the crate takes that is generated from its document, and nothing else."""

import json
from datetime import date, datetime, timezone
from uuid import UUID

import orders_rs
import pytest
import shapes_rs
from orders import Item, Order, Status
from pydantic import TypeAdapter
from shapes import Cat, Color, Dog, Everything, Fish, Level, Names, Nested, Owner, Page, Point

ID = UUID("8e03978e-40d5-43e8-bc93-6894a57f9324")
NOW = datetime(2026, 3, 15, 12, tzinfo=timezone.utc)


async def receive():
    raise RuntimeError("an application does not receive while it handles a message")


async def settled(app, address, payload, headers=(), bindings=None):
    """Why the message was not acknowledged: nobody has written a handler."""
    events = []

    async def send(event):
        events.append(event)

    scope = {
        "type": "message",
        "amgi": {"version": "2.0", "spec_version": "2.0"},
        "address": address,
        "headers": list(headers),
        "payload": payload,
        "bindings": bindings or {},
    }
    await app(scope, receive, send)
    (event,) = events
    assert event["type"] == "message.nack"
    return event["message"]


def dumped(value, type_=None):
    return TypeAdapter(type_ or type(value)).dump_json(value, by_alias=True)


ORDER = Order(ID, Status.PLACED, NOW, [Item("a"), Item("b", 2)], "soon")
HEADERS = [(b"idempotency-key", str(ID).encode()), (b"ETag", b"a")]
KEY = {"kafka": {"key": str(ID).encode()}}
EVERYTHING = Everything(
    a_bool=True, text="abc", needed_optional=None, level=Level.HIGH, nested=Nested(id=1), when=NOW
)
FULL = EVERYTHING.model_copy(
    update={
        "optional": "x",
        "literal": 3,
        "colors": [Color.DARK_GREEN],
        "counts": {"a": 1},
        "by_color": {Color.RED: 0.5},
        "by_number": {7: "seven"},
        "several": {"a": [Nested(id=2, parent=Nested(id=3))]},
        "unique": {1, 2},
        "many": (1, 2, 3),
        "labels": {"size": 1},
        "either": "text",
        "numbers": 1.5,
        "union": [Nested(id=4, children=[Nested(id=5)])],
        "day": date(2026, 3, 15),
        "clock": NOW.timetz(),
        "uuid": ID,
        "anything": {"a": [1, None]},
    }
)


@pytest.mark.parametrize(
    ["app", "address", "payload", "headers", "bindings"],
    [
        (orders_rs, "orders.north.placed", dumped(ORDER), HEADERS, KEY),
        (
            orders_rs,
            "orders.north.placed",
            dumped(ORDER),
            [*HEADERS, (b"page", b"2"), (b"trace-id", b"t")],
            KEY,
        ),
        (orders_rs, "orders.north.placed", dumped(ORDER), [*HEADERS, (b"since", b"2026-03-15")], KEY),
        (orders_rs, "orders.paid", dumped(ORDER), (), {"sqs": {"message_group_id": "g"}}),
        (orders_rs, "orders.cancelled", dumped(Order(ID, Status.SHIPPED, NOW)), (), None),
        (orders_rs, "tick", None, (), None),
        (orders_rs, "questions", b'"who?"', (), None),
        (orders_rs, "anything", b'{"a":[1.5,null]}', (), None),
        (orders_rs, "untyped", b"null", (), None),
        (orders_rs, "numbers", b"[1,2]", (), None),
        (shapes_rs, "everything", dumped(EVERYTHING), (), None),
        (shapes_rs, "everything", dumped(FULL), (), None),
        (shapes_rs, "pages", dumped(Page[Nested](items=[Nested(id=1)], next=2)), (), None),
        (shapes_rs, "names", dumped(Names(["a", "b"])), (), None),
        (
            shapes_rs,
            "owners",
            dumped(Owner(pet=Dog(kind="hound"), other=Fish(fins=2), pets=[Cat(kind="cat")])),
            (),
            None,
        ),
        (shapes_rs, "pets", dumped(Cat(kind="cat")), (), None),
        (shapes_rs, "pets", dumped(Dog(kind="hound", owner="Ada")), (), None),
        (shapes_rs, "mixed", dumped(Fish(fins=1)), (), None),
        (shapes_rs, "mixed", b"null", (), None),
        (shapes_rs, "points", dumped([Point(1, 2)], list[Point]), (), None),
        (shapes_rs, "points", dumped({"a": Point(1, 2)}, dict[str, Point]), (), None),
        (shapes_rs, "open", b'{"id":1,"more":true}', (), None),
        (shapes_rs, "colors", dumped(Color.DARK_GREEN), (), None),
        (shapes_rs, "levels", dumped(Level.LOW), (), None),
        (shapes_rs, "levels", b"null", (), None),
        (shapes_rs, "bytes", dumped(b"text"), (), None),
        (shapes_rs, "labels", b'{"name":"a"}', (), None),
    ],
)
async def test_what_pydantic_writes_is_taken(app, address, payload, headers, bindings):
    assert "not implemented" in await settled(app.app, address, payload, headers, bindings)


@pytest.mark.parametrize(
    ["app", "address", "payload", "headers", "why"],
    [
        (orders_rs, "orders.north.placed", dumped(ORDER), HEADERS[1:], "idempotency-key"),
        (orders_rs, "orders.north.placed", dumped(ORDER), [*HEADERS, (b"page", b"two")], "page"),
        (orders_rs, "orders.cancelled", dumped(ORDER).replace(b"placed", b"lost", 1), (), "/status"),
        (orders_rs, "orders.cancelled", dumped(ORDER).replace(b"8e03978e", b"x", 1), (), "/id"),
        # Of the formats `date-time` and `time` are those that say which time zone they mean.
        (
            orders_rs,
            "orders.cancelled",
            dumped(Order(ID, Status.PLACED, NOW.replace(tzinfo=None))),
            (),
            "/placed_at",
        ),
        (orders_rs, "numbers", b'[1,"x"]', (), "/1"),
        (
            shapes_rs,
            "everything",
            dumped(EVERYTHING).replace(b'"a_float":0.5', b'"a_float":1'),
            (),
            "/a_float",
        ),
        (shapes_rs, "everything", dumped(EVERYTHING).replace(b'"level":10', b'"level":2'), (), "/level"),
        (shapes_rs, "everything", dumped(EVERYTHING).replace(b'"pair":[1,"a"]', b'"pair":[1]'), (), "/pair"),
        (shapes_rs, "pages", b'{"items":[{"id":1,"other":2}]}', (), "/items/0/other"),
        (shapes_rs, "pets", b'{"kind":"bird"}', (), "kind"),
        (shapes_rs, "pets", b'{"kind":"cat","lives":"x"}', (), "/lives"),
        (shapes_rs, "levels", b"5", (), "payload"),
        (shapes_rs, "labels", b'{"size":"a"}', (), "/size"),
    ],
)
async def test_what_it_refuses_is_refused(app, address, payload, headers, why):
    reason = await settled(app.app, address, payload, headers, KEY)
    assert why in reason and "not implemented" not in reason


@pytest.mark.parametrize("module", [orders_rs, shapes_rs])
def test_the_document_is_the_one_that_it_was_generated_from(module):
    import orders
    import shapes

    asyncfast = {orders_rs: orders, shapes_rs: shapes}[module]
    assert module.app.asyncapi() == json.loads(json.dumps(asyncfast.app.asyncapi()))
