"""Scopes in, events out: what AsyncFast's tests of messages and channels ask of an application."""

import json
from unittest.mock import ANY

import pytest
from conftest import Send, receive, scope

from mirror import app


def seen(send):
    """What the handler has seen, as it says, and that the message was acknowledged after that."""
    first, last = send.events
    assert first["type"] == "message.send" and first["address"] == "seen"
    assert last == {"type": "message.ack"}
    return json.loads(json.loads(first["payload"]))


async def test_payload_object(send):
    await app(scope("payload.object", b'{"id":1}'), receive, send)
    assert seen(send) == {"id": 1, "key": None, "group": None, "extensions": []}


async def test_payload_simple(send):
    await app(scope("payload.simple", b"123"), receive, send)
    assert seen(send) == 123


@pytest.mark.parametrize("payload", [bytearray(b"123"), b" 123\n"])
async def test_payload_is_whatever_holds_bytes(send, payload):
    await app(scope("payload.simple", payload), receive, send)
    assert seen(send) == 123


HEADERS = [
    (b"ETag", b"33a64df551425fcc55e4d42a148795d9f25f89d4"),
    (b"id", b"10"),
    (b"idempotency-key", b"8e03978e-40d5-43e8-bc93-6894a57f9324"),
]
SEEN = [HEADERS[0][1].decode(), 10, HEADERS[2][1].decode()]


@pytest.mark.parametrize(
    ["headers", "expected"],
    [
        (HEADERS, [1, None]),
        (HEADERS + [(b"page", b"2")], [2, None]),
        (HEADERS + [(b"note", b"urgent")], [1, "urgent"]),
        # The first of several counts, and capitals do.
        (HEADERS + [(b"id", b"11"), (b"etag", b"none"), (b"note", b"a"), (b"note", b"b")], [1, "a"]),
        (tuple(HEADERS), [1, None]),
        ([list(pair) for pair in HEADERS], [1, None]),
    ],
)
async def test_headers(send, headers, expected):
    await app(scope("headers", headers=headers), receive, send)
    assert seen(send) == SEEN + expected


async def test_address_parameter(send):
    await app(scope("order.1234"), receive, send)
    assert seen(send) == "1234"


async def test_kafka_key(send):
    bindings = {"kafka": {"key": b"KEY-001"}}
    await app(scope("payload.object", b'{"id":1}', bindings=bindings), receive, send)
    assert seen(send)["key"] == "KEY-001"


@pytest.mark.parametrize("bindings", [{"kafka": {"key": None}}, {"kafka": {}}, {}, None])
async def test_no_kafka_key(send, bindings):
    await app(scope("payload.object", b'{"id":1}', bindings=bindings), receive, send)
    assert seen(send)["key"] is None


async def test_sqs_message_group_id(send):
    bindings = {"sqs": {"message_group_id": "group", "delay_seconds": 3, "of_no_type": [1.5]}}
    await app(scope("payload.object", b'{"id":1}', bindings=bindings), receive, send)
    assert seen(send)["group"] == "group"


async def test_extensions(send):
    extensions = {"a": {}, "b": {"c": [1, "d", None]}}
    await app(scope("payload.object", b'{"id":1}', extensions=extensions), receive, send)
    assert seen(send)["extensions"] == ["a", "b"]


async def test_sends(send):
    await app(scope("relay", b'{"name":"anna","count":2}'), receive, send)
    assert send.events == [
        {
            "type": "message.send",
            "address": "relayed.anna",
            "headers": [(b"id", b"%d" % number)],
            "payload": b"%d" % number,
            "bindings": {"kafka": {"key": b"%d" % number}, "mqtt": {"qos": 1}},
        }
        for number in range(2)
    ] + [{"type": "message.ack"}]


async def test_sends_at_once():
    import asyncio

    class Meeting(Send):
        """Lets nobody go before all are there."""

        def __init__(self, count):
            super().__init__()
            self.barrier = asyncio.Barrier(count)

        async def __call__(self, event):
            await super().__call__(event)
            if event["type"] == "message.send":
                async with asyncio.timeout(5):
                    await self.barrier.wait()

    send = Meeting(5)
    await app(scope("relay", b'{"name":"anna","count":5,"at_once":true}'), receive, send)
    assert [event["payload"] for event in send.sent] == [b"%d" % number for number in range(5)]
    assert send.settled == [{"type": "message.ack"}]


async def test_a_send_that_fails_is_the_handlers_error():
    send = Send("relayed.refused")
    await app(scope("refused"), receive, send)
    failed, told, settled = send.events
    assert failed["address"] == "relayed.refused"
    address, text = json.loads(json.loads(told["payload"]))
    assert address == "relayed.refused" and "OSError: relayed.refused is not there" in text
    assert settled == {"type": "message.ack"}


@pytest.mark.parametrize("at_once", ["true", "false"])
async def test_a_send_that_nobody_minds_fails_the_message(at_once):
    send = Send("relayed.anna")
    payload = b'{"name":"anna","count":3,"at_once":%s}' % at_once.encode()
    await app(scope("relay", payload), receive, send)
    assert send.settled == [{"type": "message.nack", "message": ANY}]
    assert "relayed.anna is not there" in send.settled[0]["message"]
    assert len(send.sent) == (3 if at_once == "true" else 1)


async def test_ack(send):
    await app(scope("relay", b'{"name":"anna","count":0}'), receive, send)
    assert send.events == [{"type": "message.ack"}]


async def test_nack(send):
    await app(scope("failing"), receive, send)
    assert send.events == [{"type": "message.nack", "message": "test"}]


@pytest.mark.parametrize(
    ["fields", "why"],
    [
        (scope("payload.simple", b"not_an_int"), "payload"),
        (scope("payload.object", b'{"id":"x"}'), "payload `/id`: expected"),
        (scope("payload.simple"), "payload"),
        (scope("headers", headers=HEADERS[1:]), "ETag"),
        (scope("headers", headers=HEADERS[:1] + [(b"id", b"ten")] + HEADERS[2:]), "id"),
        (scope("not.there"), "no channel has the address `not.there`"),
    ],
)
async def test_what_does_not_fit_is_not_acknowledged(send, fields, why):
    await app(fields, receive, send)
    (event,) = send.events
    assert event == {"type": "message.nack", "message": ANY}
    assert why in event["message"]


async def test_the_document_says_where_dead_letters_go(send):
    for payload, why in [(b'{"id":7}', b"7 is not wanted"), (b"[]", b"payload")]:
        send.events.clear()
        await app(scope("dead.lettered", payload), receive, send)
        letter, settled = send.events
        assert letter["address"] == "dead.letters" and letter["payload"] == payload
        assert any(why in value for _, value in letter["headers"])
        assert settled == {"type": "message.ack"}
    refusing = Send("dead.letters")
    await app(scope("dead.lettered", b'{"id":7}'), receive, refusing)
    assert refusing.settled == [{"type": "message.nack", "message": "7 is not wanted"}]


async def test_a_server_that_settles_is_told_how(send):
    extensions = {"amgi.settlement": {}}
    await app(scope("failing", extensions=extensions), receive, send)
    await app(scope("payload.simple", b"x", extensions=extensions), receive, send)
    retried, put_aside = send.events
    assert retried == {"type": "message.nack", "message": "test", "disposition": "retry"}
    assert put_aside["disposition"] == "dead-letter"


@pytest.mark.parametrize(
    ["change", "error"],
    [
        ({"address": None}, TypeError),
        ({"headers": None}, TypeError),
        ({"headers": [(b"a",)]}, (TypeError, ValueError)),
        ({"headers": [(b"a", "text")]}, TypeError),
        ({"payload": "text"}, TypeError),
        ({"bindings": []}, TypeError),
        ({"type": "other"}, ValueError),
    ],
)
async def test_what_is_no_scope_is_an_error(send, change, error):
    with pytest.raises(error):
        await app(scope("payload.simple", b"1") | change, receive, send)
    assert send.events == []


async def test_a_scope_without_an_address_is_an_error(send):
    fields = scope("payload.simple", b"1")
    del fields["address"]
    with pytest.raises(KeyError, match="address"):
        await app(fields, receive, send)


async def test_an_error_of_the_last_event_is_the_servers():
    async def send(event):
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        await app(scope("failing"), receive, send)
