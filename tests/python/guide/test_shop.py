"""What the guide from AsyncFast makes of its application."""

import pytest
from shop import app


async def receive():
    raise RuntimeError("an application does not receive while it handles a message")


@pytest.mark.parametrize(
    ["address", "expected"],
    [
        (
            "orders.placed",
            [("message.send", "orders.confirmed", b'{"id":1,"customer":"ada"}'), ("message.ack", None, None)],
        ),
        ("orders.cancelled", [("message.nack", None, None)]),
    ],
)
async def test_what_has_moved_is_handled(address, expected):
    events = []

    async def send(event):
        events.append(event)

    versions = {"version": "2.0", "spec_version": "2.0"}
    payload = b'{"id":1,"customer":"ada"}'
    scope = {"type": "message", "amgi": versions, "address": address, "headers": [], "payload": payload}
    await app(scope, receive, send)
    assert [(event["type"], event.get("address"), event.get("payload")) for event in events] == expected
