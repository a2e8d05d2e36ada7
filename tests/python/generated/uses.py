"""What one does with the module of a generated crate, in an environment that has nothing else."""

import asyncio
import pydoc
from pathlib import Path

from amgi_types import AMGIApplication, AMGIReceiveEvent, AMGISendEvent, MessageScope

import users
from users import app

application: AMGIApplication = app


async def receive() -> AMGIReceiveEvent:
    raise RuntimeError("an application does not receive while it handles a message")


async def delivered(address: str, payload: bytes) -> list[AMGISendEvent]:
    events: list[AMGISendEvent] = []

    async def send(event: AMGISendEvent) -> None:
        events.append(event)

    scope: MessageScope = {
        "type": "message",
        "amgi": {"version": "2.0", "spec_version": "2.0"},
        "address": address,
        "headers": [(b"correlation-id", b"c-1")],
        "payload": payload,
    }
    await application(scope, receive, send)
    return events


(event,) = asyncio.run(
    delivered("user.42.events", b'{"event":"renamed","at":"2026-03-15T12:00:00Z","name":"Grace"}')
)
# Nobody has written the handler.
assert event["type"] == "message.nack" and "not implemented" in event["message"], event
# What does not fit the document is put aside where it says.
letter, event = asyncio.run(delivered("user.created", b'{"id":0}'))
assert letter["type"] == "message.send" and letter["address"] == "user.created.failed", letter
assert event["type"] == "message.ack", event

document = app.asyncapi()
assert document["info"]["title"] == "User service" and "user.created" in str(document["channels"])
assert users.__version__ == document["info"]["version"]

text = pydoc.render_doc(users)
for part in (
    "User service 1.0.0",
    "Keeps the users of a shop.",
    "- user.{userId}.events: userRenamed, userDeleted",
    "- user.welcome: userWelcome",
):
    assert part in text, text
assert users.__doc__ and users.__file__
assert Path(users.__file__).with_name("py.typed").exists()
print("done")
