"""Startup, shutdown and state; middleware around the application; and the fixtures of pytest-amgi."""

import json

import pytest
from conftest import VERSIONS, Send, receive, scope

import mirror
from mirror import app


def lifespan(*kinds):
    """A `receive` that gives these events, and a list of all that passes."""
    passed = []
    events = iter(kinds)

    async def receive():
        event = {"type": next(events)}
        passed.append(event)
        return event

    async def send(event):
        passed.append(event)

    return passed, receive, send


@pytest.mark.parametrize("more", [{}, {"state": {}}])
async def test_lifespan(more):
    passed, receive, send = lifespan("lifespan.startup", "lifespan.shutdown")
    await app({"type": "lifespan", "amgi": VERSIONS} | more, receive, send)
    assert [event["type"] for event in passed] == [
        "lifespan.startup",
        "lifespan.startup.complete",
        "lifespan.shutdown",
        "lifespan.shutdown.complete",
    ]


async def test_a_startup_that_fails(monkeypatch):
    monkeypatch.setenv("MIRROR_STARTUP_FAILS", "there is no database")
    passed, receive_lifespan, send = lifespan("lifespan.startup")
    await app({"type": "lifespan", "amgi": VERSIONS, "state": {}}, receive_lifespan, send)
    assert passed[1]["type"] == "lifespan.startup.failed"
    assert "there is no database" in passed[1]["message"]
    # Nothing is handled then.
    sent = Send()
    await app(scope("payload.simple", b"1"), receive, sent)
    (event,) = sent.events
    assert event["type"] == "message.nack" and "there is no database" in event["message"]
    monkeypatch.delenv("MIRROR_STARTUP_FAILS")
    await app(scope("payload.simple", b"1"), receive, sent)
    assert sent.settled[-1] == {"type": "message.ack"}


async def test_a_shutdown_that_fails(monkeypatch):
    monkeypatch.setenv("MIRROR_SHUTDOWN_FAILS", "the database is gone")
    passed, receive_lifespan, send = lifespan("lifespan.startup", "lifespan.shutdown")
    await app({"type": "lifespan", "amgi": VERSIONS}, receive_lifespan, send)
    assert passed[-1]["type"] == "lifespan.shutdown.failed"
    assert "the database is gone" in passed[-1]["message"]


async def test_every_lifespan_has_its_own_state(monkeypatch):
    monkeypatch.setenv("MIRROR_SHUTDOWN_FAILS", "stopped")
    for count in (3, 0, 2):
        state = {"of": "another"}
        send = Send()
        passed = []

        async def receive_lifespan():
            if passed:
                for number in range(count):
                    copy = state.copy()
                    await app(scope("counted", b'{"id":1}', state=copy), receive, send)
                return {"type": "lifespan.shutdown"}
            return {"type": "lifespan.startup"}

        async def send_lifespan(event):
            passed.append(event)

        await app({"type": "lifespan", "amgi": VERSIONS, "state": state}, receive_lifespan, send_lifespan)
        assert state["of"] == "another" and len(state) == 2
        assert f"stopped after {count}" in passed[-1]["message"]


async def test_middleware(send):
    class Middleware:
        def __init__(self, app, name):
            self.app, self.name = app, name

        async def __call__(self, scope, receive, send):
            async def sending(event):
                if event["type"] == "message.send":
                    event = event | {"headers": [*event["headers"], (b"by", self.name)]}
                await send(event)

            await self.app(scope | {"payload": scope["payload"] + b"0"}, receive, sending)

    around = Middleware(Middleware(app, b"inner"), b"outer")
    await around(scope("payload.simple", b"1"), receive, send)
    (event,) = send.sent
    assert event["headers"] == [(b"by", b"inner"), (b"by", b"outer")]
    assert json.loads(json.loads(event["payload"])) == 100


async def test_pytest_amgi(amgi_producer):
    producer = await amgi_producer(app)
    result = await producer.send("relay", json={"name": "anna", "count": 1})
    result.assert_acked()
    result.assert_has_message_send(
        "relayed.anna", {"id": "0"}, json=0, bindings={"kafka": {"key": b"0"}, "mqtt": {"qos": 1}}
    )
    result = await producer.send("failing")
    result.assert_nacked(match="^test$")
    result = await producer.send("headers", headers={"id": "1", "ETag": "a", "idempotency-key": "b"})
    result.assert_nacked(match="idempotency-key")


def test_the_module_tells_of_its_document():
    assert mirror.__doc__.startswith("Mirror 1.0.0\n\nTells what it has seen.\n")
    assert "- order.{user_id}: order\n" in mirror.__doc__
    assert "- seen: seen\n" in mirror.__doc__
    assert mirror.__version__ == "1.0.0"
    assert app.asyncapi()["info"] == {
        "title": "Mirror",
        "version": "1.0.0",
        "description": "Tells what it has seen.",
    }
