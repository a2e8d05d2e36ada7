"""The same application on every AMGI server of Python, with its real broker: a thousand messages are handled, what is sent
arrives, and a message that fails is not acknowledged."""

import asyncio
import base64
import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading

import pytest
from brokers import Amqp, Kafka, Mqtt, Redis, Sqs, until
from conftest import serving

from mirror import app

COUNT = 1000
# The handler of `counted` sends the number of every tenth message.
SENT = {number for number in range(0, COUNT, 10)}
NUMBERS = [json.dumps({"id": number}).encode() for number in range(COUNT)]


class Recorded:
    """The application, and the events that it sends."""

    def __init__(self):
        self.counts = {"message.ack": 0, "message.nack": 0, "message.send": 0}

    async def __call__(self, scope, receive, send):
        async def sending(event):
            await send(event)
            if event["type"] in self.counts:
                self.counts[event["type"]] += 1

        await app(scope, receive, sending)


def number(payload):
    """What the handler has sent."""
    return json.loads(json.loads(payload))


async def handled(recorded, seen):
    """All messages are, and what their handlers have sent is there."""
    await until(lambda: recorded.counts["message.ack"] == COUNT and len(seen) >= len(SENT))
    assert {number(payload) for payload in seen} == SENT
    assert recorded.counts["message.nack"] == 0


@pytest.mark.parametrize("broker", [Kafka, Mqtt, Redis, Amqp, Sqs])
async def test_servers(broker):
    async with broker() as broker:
        await broker.collect("seen")
        recorded = Recorded()
        if broker.redelivers:
            await broker.publish_all("counted", NUMBERS)
        async with serving(broker.of_python(recorded, "counted")):
            if not broker.redelivers:
                await broker.publish_all("counted", NUMBERS)
            await handled(recorded, broker.seen["seen"])
        if broker.redelivers:
            await broker.publish("failing", b"{}")
        # What fails is not acknowledged: it comes again, at once, after a time, or to who comes next.
        for _ in range(2 if broker.redelivers else 1):
            recorded = Recorded()
            async with serving(broker.of_python(recorded, "failing")):
                if not broker.redelivers:
                    await broker.publish("failing", b"{}")
                await until(lambda: recorded.counts["message.nack"] > 0)
            assert recorded.counts["message.ack"] == 0


async def test_asyncfast_run():
    async with Kafka() as kafka:
        await kafka.collect("seen")
        await kafka.publish_all("counted", NUMBERS)
        command = ["-m", "asyncfast", "run", "amgi-aiokafka", "mirror:app", "counted"]
        options = ["--bootstrap-servers", kafka.servers, "--group-id", "mirror-command"]
        process = subprocess.Popen([sys.executable, *command, *options, "--auto-offset-reset", "earliest"])
        try:
            await until(lambda: process.poll() is not None or len(kafka.seen["seen"]) == len(SENT))
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert {number(payload) for payload in kafka.seen["seen"]} == SENT


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def test_amgi_cloudevents():
    import uvicorn
    from aiohttp import ClientSession, web
    from amgi_cloudevents import MessageSend, Server

    seen = []

    async def collect(request):
        event = await request.json()
        assert event["type"] == "seen"
        data = event["data"] if "data" in event else json.loads(base64.b64decode(event["data_base64"]))
        seen.append(json.dumps(data))
        return web.Response(status=204)

    collector = web.Application()
    collector.router.add_post("/", collect)
    runner = web.AppRunner(collector)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", free_port())
    await site.start()

    recorded = Recorded()
    port = free_port()
    sends = MessageSend(site.name, source="/mirror", content_mode="structured")
    config = uvicorn.Config(
        Server(recorded, path="/event", message_send=sends), host="127.0.0.1", port=port, log_level="warning"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)

    async with ClientSession() as http:

        async def post(kind, payload):
            headers = {
                "ce-specversion": "1.0",
                "ce-type": kind,
                "ce-source": "/test",
                "ce-id": "1",
                "content-type": "application/json",
            }
            async with http.post(f"http://127.0.0.1:{port}/event", data=payload, headers=headers) as response:
                return response.status, await response.text()

        for first in range(0, COUNT, 50):
            answers = await asyncio.gather(*(post("counted", each) for each in NUMBERS[first : first + 50]))
            assert {status for status, _ in answers} == {204}
        await handled(recorded, seen)
        status, text = await post("failing", b"{}")
        assert status == 500 and "test" in text
    server.should_exit = True
    await task
    await runner.cleanup()


class Sends:
    """A `message_send` that keeps what it is given."""

    def __init__(self):
        self.seen = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def __call__(self, event):
        assert event["address"] == "seen"
        self.seen.append(number(event["payload"]))


def elsewhere(function):
    """Handlers of Lambda have a loop of their own, which a thread that runs one refuses."""
    failures = []

    def run():
        try:
            function()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in failures:
        raise error


def test_amgi_sqs_event_source_mapping(monkeypatch):
    from amgi_sqs_event_source_mapping import SqsEventSourceMappingHandler

    monkeypatch.setattr(asyncio.AbstractEventLoop, "add_signal_handler", no_signals, raising=False)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", no_signals, raising=False)

    def record(queue, index, payload):
        return {
            "messageId": str(index),
            "receiptHandle": "handle",
            "body": payload.decode(),
            "attributes": {},
            "messageAttributes": {},
            "md5OfBody": hashlib.md5(payload).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
            "awsRegion": "eu-west-1",
        }

    def invoke():
        sends, recorded = Sends(), Recorded()
        handler = SqsEventSourceMappingHandler(recorded, message_send=sends)
        for first in range(0, COUNT, 10):
            batch = [record("counted", index, NUMBERS[index]) for index in range(first, first + 10)]
            assert handler({"Records": batch}, None) == {"batchItemFailures": []}
        assert set(sends.seen) == SENT and recorded.counts["message.ack"] == COUNT
        batch = [record("counted", 1, NUMBERS[1]), record("failing", 2, b"{}"), record("counted", 3, b"[]")]
        failures = handler({"Records": batch}, None)["batchItemFailures"]
        assert {failure["itemIdentifier"] for failure in failures} == {"2", "3"}

    elsewhere(invoke)


def no_signals(*_):
    raise NotImplementedError


def test_amgi_kafka_event_source_mapping(monkeypatch):
    from amgi_kafka_event_source_mapping import KafkaEventSourceMappingHandler

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", no_signals, raising=False)

    def record(topic, offset, payload):
        return {
            "topic": topic,
            "partition": 0,
            "offset": offset,
            "timestamp": 0,
            "timestampType": "CREATE_TIME",
            "key": base64.b64encode(b"key").decode(),
            "value": base64.b64encode(payload).decode(),
            "headers": [{"trace": list(b"a")}],
        }

    def event(records):
        return {
            "eventSource": "aws:kafka",
            "bootstrapServers": "127.0.0.1:1",
            "records": {f"{records[0]['topic']}-0": records},
        }

    def invoke():
        sends, recorded = Sends(), Recorded()
        handler = KafkaEventSourceMappingHandler(recorded, message_send=sends, on_nack="error")
        for first in range(0, COUNT, 50):
            handler(
                event([record("counted", each, NUMBERS[each]) for each in range(first, first + 50)]), None
            )
        assert set(sends.seen) == SENT and recorded.counts["message.ack"] == COUNT
        with pytest.raises(Exception) as raised:
            handler(event([record("failing", 0, b"{}")]), None)
        assert recorded.counts["message.nack"] == 1, raised

    elsewhere(invoke)
