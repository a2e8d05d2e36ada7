"""Python applications on Rust's servers: an AsyncFast application loses nothing on any broker, and the contract of AMGI holds."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict

import pytest
from asyncfast import AsyncFast, MessageSender
from asyncfast import Message as FastMessage
from brokers import Amqp, JetStream, Kafka, Mqtt, Nats, Redis, RedisStreams, Sqs, until
from conftest import serving
from dataclasses import dataclass
from pydantic import BaseModel

from amgi_rs import SendError
from amgi_rs import kafka as rust_kafka
from amgi_rs import mqtt as rust_mqtt

ALL = [Kafka, Mqtt, Redis, RedisStreams, Amqp, Sqs, Nats, JetStream]
KEEPS = [broker for broker in ALL if broker.redelivers]
COUNT = 1000
NUMBERS = [json.dumps({"id": number}).encode() for number in range(COUNT)]


class Number(BaseModel):
    id: int


@dataclass
class Seen(FastMessage, address="seen"):
    payload: Number


class Application:
    """An AsyncFast application, and what it has handled."""

    def __init__(self):
        self.handled = []
        self.failed = {}
        self.app = app = AsyncFast()

        @app.channel("counted")
        async def counted(payload: Number, sender: MessageSender[Seen]) -> None:
            if payload.id % 10 == 0:
                await sender.send(Seen(payload=payload))
            if payload.id % 7 == 0:
                await asyncio.sleep(0.001)
            self.handled.append(payload.id)

        @app.channel("failing")
        async def failing(payload: Number) -> None:
            self.failed[payload.id] = self.failed.get(payload.id, 0) + 1
            if self.failed[payload.id] < 3:
                raise ValueError("not now")
            self.handled.append(payload.id)


async def publish(broker, name, payloads):
    await broker.publish_all(name, payloads)


@pytest.mark.parametrize("kind", ALL)
async def test_all_are_handled(kind):
    async with kind() as broker:
        await broker.collect("seen")
        application = Application()
        if broker.redelivers:
            await publish(broker, "counted", NUMBERS)
        server = broker.of_rust(application.app, "counted")
        async with serving(server):
            if not broker.redelivers:
                await publish(broker, "counted", NUMBERS)
            await until(lambda: len(application.handled) >= COUNT)
            await until(lambda: len(broker.seen["seen"]) >= COUNT // 10)
        assert sorted(application.handled) == list(range(COUNT))
        sent = {json.loads(payload)["id"] for payload in broker.seen["seen"]}
        assert sent == set(range(0, COUNT, 10))


@pytest.mark.parametrize("kind", ALL)
async def test_what_fails_is_tried_again(kind):
    async with kind() as broker:
        application = Application()
        if broker.redelivers:
            await publish(broker, "failing", NUMBERS[:20])
        async with serving(broker.of_rust(application.app, "failing", first_pause=0.01)):
            if not broker.redelivers:
                await publish(broker, "failing", NUMBERS[:20])
            await until(lambda: len(application.handled) >= 20)
        assert sorted(application.handled) == list(range(20))
        assert set(application.failed.values()) == {3}


@pytest.mark.parametrize("kind", [Kafka, RedisStreams])
async def test_nothing_behind_what_fails_is_begun(kind):
    # By partition, where there are some.
    begun, handled = defaultdict(list), defaultdict(list)

    async def app(scope, receive, send):
        if scope["type"] != "message":
            raise RuntimeError("no lifespan")
        number = json.loads(scope["payload"])["id"]
        lane = scope["bindings"].get("kafka", {}).get("partition")
        begun[lane].append(number)
        # Now and then also where a task gives way to others.
        if number % 31 < 2 and begun[lane].count(number) == 1:
            raise ValueError("not now")
        handled[lane].append(number)
        await send({"type": "message.ack"})

    async with kind() as broker:
        await publish(broker, "failing", NUMBERS)
        async with serving(broker.of_rust(app, "failing", attempts=100, first_pause=0.001)):
            await until(lambda: sum(map(len, handled.values())) >= COUNT)
    assert sorted(number for lane in handled.values() for number in lane) == list(range(COUNT))
    for lane, numbers in handled.items():
        assert numbers == sorted(numbers)
        assert begun[lane] == [number for number in numbers for _ in range(2 if number % 31 < 2 else 1)]


@pytest.mark.parametrize("kind", ALL)
async def test_what_is_given_up_is_put_aside(kind):
    handled, tried = [], []

    async def app(scope, receive, send):
        if scope["type"] != "message":
            raise RuntimeError("no lifespan")
        number = json.loads(scope["payload"])["id"]
        if number == 3:
            await send({"type": "message.nack", "message": "poison", "disposition": "dead-letter"})
        elif number == 5:
            await send({"type": "message.nack", "message": "nobody wants it", "disposition": "discard"})
        elif number == 1:
            tried.append(number)
            raise ValueError("never")
        else:
            handled.append(number)
            await send({"type": "message.ack"})

    async with kind() as broker:
        letters = broker.names[-1]
        await broker.collect_letters(letters)
        if broker.redelivers:
            await publish(broker, "poisoned", NUMBERS[:10])
        async with serving(broker.of_rust(app, "poisoned", attempts=2, first_pause=0.01)):
            if not broker.redelivers:
                await publish(broker, "poisoned", NUMBERS[:10])
            await until(lambda: len(handled) >= 7 and len(broker.seen[letters]) >= 2)
        assert sorted(json.loads(payload)["id"] for payload in broker.seen[letters]) == [1, 3]
        assert sorted(handled) == [0, 2, 4, 6, 7, 8, 9] and tried == [1] * 2


@pytest.mark.parametrize("kind", KEEPS)
async def test_a_server_that_stops_leaves_the_rest_to_the_next(kind):
    async with kind() as broker:
        await publish(broker, "counted", NUMBERS)
        handled = []
        while len({number for each in handled for number in each}) < COUNT:
            application = Application()
            handled.append(application.handled)
            async with serving(broker.of_rust(application.app, "counted")):
                every = lambda: {number for each in handled for number in each}
                await until(lambda: len(application.handled) >= 100 or len(every()) == COUNT)
        # What was begun is finished and acknowledged before a server ends.
        total = sum(len(each) for each in handled)
        assert total == COUNT, f"{total - COUNT} were handled again"


@pytest.mark.parametrize("kind", [Kafka, Mqtt, Redis, Amqp, Sqs])
async def test_strict_scopes_are_those_of_pythons_servers(kind):
    def recorder(scopes):
        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                while True:
                    event = await receive()
                    scope["state"]["a"] = 1
                    await send({"type": event["type"] + ".complete"})
                    if event["type"] == "lifespan.shutdown":
                        return
            scopes.append(scope)
            await send({"type": "message.ack"})

        return app

    async with kind() as broker:
        seen = []
        for make in (broker.of_python, lambda app, *names: broker.of_rust(app, *names, strict=True)):
            scopes = []
            if broker.redelivers:
                await publish(broker, "counted", [b'{"a":1}'])
            async with serving(make(recorder(scopes), "counted")):
                if not broker.redelivers:
                    await publish(broker, "counted", [b'{"a":1}'])
                await until(lambda: scopes)
            seen.append(scopes[-1])
        python, rust = seen
        assert rust == python


@pytest.mark.parametrize(
    ["kind", "wildcard", "names"], [(Mqtt, "+/numbers", "a/numbers"), (Nats, "*.numbers", "a.numbers")]
)
async def test_wildcards(kind, wildcard, names):
    addresses = []

    async def app(scope, receive, send):
        if scope["type"] == "message":
            addresses.append(scope["address"])
            await send({"type": "message.ack"})

    async with kind() as broker:
        async with serving(broker.of_rust(app, wildcard)):
            for name in (names, names.replace("a", "b")):
                await broker.publish(name, b"1")
            await until(lambda: len(addresses) == 2)
    assert sorted(addresses) == [names, names.replace("a", "b")]


async def test_state_and_order_of_a_lifespan():
    events = []

    async def app(scope, receive, send):
        events.append(scope["type"])
        if scope["type"] == "message":
            assert scope["state"] == {"database": "open"} and scope["extensions"] == {"amgi.settlement": {}}
            scope["state"]["more"] = scope["extensions"]["more"] = {}
            await send({"type": "message.ack"})
            return
        events.append((await receive())["type"])
        scope["state"]["database"] = "open"
        await send({"type": "lifespan.startup.complete"})
        events.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    async with Kafka() as broker:
        await publish(broker, "counted", NUMBERS[:3])
        async with serving(broker.of_rust(app, "counted")):
            await until(lambda: events.count("message") == 3)
    assert events == ["lifespan", "lifespan.startup", *["message"] * 3, "lifespan.shutdown"]


@pytest.mark.parametrize("how", ["failed", "raised"])
async def test_an_application_that_does_not_start(how):
    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        if how == "raised":
            raise ConnectionError("no database")
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async with Kafka() as broker:
        await publish(broker, "counted", NUMBERS[:1])
        with pytest.raises(Exception, match="no database"):
            await broker.of_rust(app, "counted").serve()


async def test_a_send_that_fails_is_an_oserror():
    errors = []

    async def app(scope, receive, send):
        if scope["type"] != "message":
            raise RuntimeError("no lifespan")
        try:
            await send({"type": "message.send", "address": "no such topic", "headers": [], "payload": b""})
        except OSError as error:
            errors.append(error)
        await send({"type": "message.ack"})

    async with Kafka() as broker:
        await publish(broker, "counted", NUMBERS[:1])
        async with serving(broker.of_rust(app, "counted", send_timeout=2)):
            await until(lambda: errors)
    assert isinstance(errors[0], SendError) and "no such topic" in str(errors[0])


async def test_who_says_nothing_acknowledges_nothing():
    calls = []

    async def app(scope, receive, send):
        if scope["type"] != "message":
            raise RuntimeError("no lifespan")
        calls.append(scope["payload"])
        if len(calls) == 2:
            await send({"type": "message.ack"})
            with pytest.raises(RuntimeError):
                await send({"type": "message.nack", "message": "too late"})

    async with Kafka() as broker:
        await publish(broker, "counted", NUMBERS[:1])
        async with serving(broker.of_rust(app, "counted")):
            await until(lambda: calls)
        async with serving(broker.of_rust(app, "counted")):
            await until(lambda: len(calls) == 2)
        third = []

        async def other(scope, receive, send):
            third.append(scope)

        async with serving(broker.of_rust(other, "counted"), asyncio.sleep(2)):
            pass
        assert [scope["type"] for scope in third] == ["lifespan"]


async def test_sends_go_where_one_says():
    class Sends:
        def __init__(self):
            self.events = []

        async def __aenter__(self):
            self.events.append("open")
            return self

        async def __aexit__(self, *_):
            self.events.append("closed")

        async def __call__(self, event):
            self.events.append(json.loads(event["payload"])["id"])

    sends = Sends()
    async with Kafka() as broker:
        application = Application()
        await publish(broker, "counted", NUMBERS[:11])
        async with serving(broker.of_rust(application.app, "counted", message_send=sends)):
            await until(lambda: len(application.handled) == 11)
    assert sends.events == ["open", *sends.events[1:-1], "closed"]
    assert sorted(sends.events[1:-1]) == [0, 10]


async def test_many_handlers_at_once():
    busy = most = 0

    async def app(scope, receive, send):
        nonlocal busy, most
        if scope["type"] != "message":
            raise RuntimeError("no lifespan")
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.05)
        busy -= 1
        await send({"type": "message.ack"})
        done.append(1)

    done = []
    async with Sqs() as broker:
        await publish(broker, "counted", NUMBERS[:50])
        async with serving(broker.of_rust(app, "counted", concurrency=10)):
            await until(lambda: len(done) == 50)
    assert 5 <= most <= 10


@pytest.mark.parametrize(
    ["make", "error"],
    [
        (lambda: rust_kafka.Server(None, "a", auto_offset_reset="none"), "auto_offset_reset"),
        (lambda: rust_kafka.Server(None), "one address at least"),
        (lambda: rust_kafka.Server(None, "a", no_such_option=1), "no_such_option.*there are url, client_id"),
        (lambda: rust_mqtt.Server(None, "a", first_pause=-1), "negative"),
        (lambda: rust_mqtt.Server(None, "a/#"), "no wildcard for any number of levels"),
    ],
)
def test_what_cannot_be(make, error):
    with pytest.raises(ValueError, match=error):
        make()


async def test_a_broker_that_is_not_there():
    server = rust_mqtt.Server(Application().app, "a", "127.0.0.1", 1, connect_timeout=1)
    with pytest.raises(ConnectionError):
        await server.serve()


def test_options_say_what_they_do():
    assert "Consumer group" in rust_kafka.OPTIONS["group"]


async def test_asyncfast_run():
    async with Kafka() as broker:
        await broker.collect("seen")
        await publish(broker, "counted", NUMBERS)
        command = ["-m", "asyncfast", "run", "amgi-rs-kafka", "command:app", "counted"]
        options = ["--bootstrap-servers", broker.servers, "--group-id", "mirror-rust-command"]
        command = [sys.executable, *command, *options, "--auto-offset-reset", "earliest"]
        process = subprocess.Popen(command, cwd=os.path.dirname(__file__))
        try:
            await until(lambda: process.poll() is not None or len(broker.seen["seen"]) == COUNT // 10)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
