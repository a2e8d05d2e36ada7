"""The same application on every AMGI server of Python, with its real broker: a thousand messages are handled, what is sent
arrives, and a message that fails is not acknowledged."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

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

    async def until(self, kind, count):
        async with asyncio.timeout(60):
            while self.counts[kind] < count:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def serving(server):
    task = asyncio.create_task(server.serve())
    await asyncio.sleep(0.2)
    try:
        yield
    finally:
        server.stop()
        async with asyncio.timeout(30):
            await task


def number(payload):
    """What the handler has sent."""
    return json.loads(json.loads(payload))


async def handled(recorded, seen):
    await recorded.until("message.ack", COUNT)
    async with asyncio.timeout(60):
        while len(seen) < len(SENT):
            await asyncio.sleep(0.01)
    assert set(seen) == SENT
    assert recorded.counts["message.nack"] == 0


async def kafka_consumer(seen):
    import aiokafka

    consumer = aiokafka.AIOKafkaConsumer(
        "seen", bootstrap_servers=os.environ["MIRROR_KAFKA"], auto_offset_reset="earliest"
    )
    await consumer.start()

    async def collect():
        async for record in consumer:
            seen.append(number(record.value))

    return consumer, asyncio.create_task(collect())


async def topics(*names):
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=os.environ["MIRROR_KAFKA"])
    await admin.start()
    await admin.delete_topics(list(names))
    async with asyncio.timeout(30):
        while set(names) & set(await admin.list_topics()):
            await asyncio.sleep(0.05)
        while not set(names) <= set(await admin.list_topics()):
            await admin.create_topics([NewTopic(name, 3, 1) for name in names])
            await asyncio.sleep(0.05)
    await admin.close()


@contextlib.asynccontextmanager
async def kafka():
    import aiokafka

    await topics("counted", "failing", "seen")
    seen = []
    consumer, collecting = await kafka_consumer(seen)
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=os.environ["MIRROR_KAFKA"])
    await producer.start()
    for payload in NUMBERS:
        await producer.send("counted", payload)
    await producer.flush()
    try:
        yield producer, seen
    finally:
        await producer.stop()
        collecting.cancel()
        await consumer.stop()


async def test_amgi_aiokafka():
    from amgi_aiokafka import Server

    def server(recorded):
        return Server(
            recorded,
            "counted",
            "failing",
            bootstrap_servers=os.environ["MIRROR_KAFKA"],
            group_id="mirror",
            auto_offset_reset="earliest",
        )

    async with kafka() as (producer, seen):
        recorded = Recorded()
        async with serving(server(recorded)):
            await handled(recorded, seen)
            await producer.send_and_wait("failing", b"")
            await recorded.until("message.nack", 1)
        # It is not acknowledged: who comes next gets it again, and nothing else.
        again = Recorded()
        async with serving(server(again)):
            await again.until("message.nack", 1)
        assert again.counts["message.ack"] == 0


async def test_asyncfast_run_amgi_aiokafka():
    async with kafka() as (_, seen):
        command = ["-m", "asyncfast", "run", "amgi-aiokafka", "mirror:app", "counted"]
        options = ["--bootstrap-servers", os.environ["MIRROR_KAFKA"], "--group-id", "mirror-command"]
        process = subprocess.Popen([sys.executable, *command, *options, "--auto-offset-reset", "earliest"])
        try:
            async with asyncio.timeout(60):
                while len(seen) < len(SENT):
                    assert process.poll() is None
                    await asyncio.sleep(0.01)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert set(seen) == SENT


async def test_amgi_paho_mqtt():
    from amgi_paho_mqtt import Server
    from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5

    host, port = os.environ["MIRROR_MQTT"].split(":")
    seen = []
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.max_inflight_messages_set(COUNT)
    client.on_message = lambda client, _, message: seen.append(number(message.payload))
    client.connect(host, int(port))
    client.subscribe("seen", qos=1)
    client.loop_start()
    try:
        recorded = Recorded()
        async with serving(Server(recorded, "counted", host, int(port), None, protocol=MQTTv5)):
            for payload in NUMBERS:
                client.publish("counted", payload, qos=1)
            await handled(recorded, seen)
        async with serving(Server(recorded, "failing", host, int(port), None)):
            client.publish("failing", b"", qos=1)
            await recorded.until("message.nack", 1)
    finally:
        client.loop_stop()


async def test_amgi_redis():
    from amgi_redis import Server
    from redis.asyncio import from_url

    url = os.environ["MIRROR_REDIS"]
    seen = []
    redis = from_url(url)
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("seen")

        async def collect():
            async for message in pubsub.listen():
                if message["type"] == "message":
                    seen.append(number(message["data"]))

        collecting = asyncio.create_task(collect())
        recorded = Recorded()
        async with serving(Server(recorded, "counted", "failing", url=url)):
            for payload in NUMBERS:
                await redis.publish("counted", payload)
            await handled(recorded, seen)
            await redis.publish("failing", b"")
            await recorded.until("message.nack", 1)
        collecting.cancel()
    await redis.aclose()


async def test_amgi_aio_pika():
    import aio_pika
    from amgi_aio_pika import Server

    url = os.environ["MIRROR_AMQP"]
    connection = await aio_pika.connect_robust(url)
    channel = await connection.channel()
    for name in ("counted", "failing", "seen"):
        await channel.queue_delete(name)
        await channel.declare_queue(name, durable=True)

    async def publish(name, payload):
        await channel.default_exchange.publish(aio_pika.Message(payload), routing_key=name)

    seen = []

    async def collect(message):
        seen.append(number(message.body))

    queue = await channel.get_queue("seen")
    await queue.consume(collect, no_ack=True)
    for payload in NUMBERS:
        await publish("counted", payload)
    recorded = Recorded()
    async with serving(Server(recorded, "counted", url=url)):
        await handled(recorded, seen)
    async with serving(Server(recorded, "failing", url=url)):
        await publish("failing", b"")
        # The broker gives it back at once, again and again.
        await recorded.until("message.nack", 3)
    assert recorded.counts["message.ack"] == COUNT
    await connection.close()


async def test_amgi_aiobotocore():
    from aiobotocore.session import get_session
    from amgi_aiobotocore.sqs import Server

    options = {
        "region_name": "us-east-1",
        "endpoint_url": os.environ["MIRROR_SQS"],
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }
    async with get_session().create_client("sqs", **options) as sqs:
        urls = {}
        for name in ("counted", "failing", "seen"):
            attributes = {"VisibilityTimeout": "1"} if name == "failing" else {}
            urls[name] = (await sqs.create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]
        for first in range(0, COUNT, 10):
            bodies = [payload.decode() for payload in NUMBERS[first : first + 10]]
            entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
            await sqs.send_message_batch(QueueUrl=urls["counted"], Entries=entries)
        await sqs.send_message(QueueUrl=urls["failing"], MessageBody="{}")
        seen = []

        async def collect():
            while True:
                response = await sqs.receive_message(
                    QueueUrl=urls["seen"], MaxNumberOfMessages=10, WaitTimeSeconds=1
                )
                seen.extend(number(message["Body"]) for message in response.get("Messages", ()))

        collecting = asyncio.create_task(collect())
        recorded = Recorded()
        async with serving(Server(recorded, "counted", **options)):
            await handled(recorded, seen)
        async with serving(Server(recorded, "failing", **options)):
            # It is shown again when its time is over.
            await recorded.until("message.nack", 2)
        collecting.cancel()


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
        seen.append(json.loads(data) if isinstance(data, str) else data)
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
            handler(event([record("counted", each, NUMBERS[each]) for each in range(first, first + 50)]), None)
        assert set(sends.seen) == SENT and recorded.counts["message.ack"] == COUNT
        with pytest.raises(Exception) as raised:
            handler(event([record("failing", 0, b"{}")]), None)
        assert recorded.counts["message.nack"] == 1, raised

    elsewhere(invoke)
