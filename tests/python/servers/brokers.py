"""The brokers of the tests, by clients that share nothing with the servers: each publishes and collects, and says how Python's
server of it, and Rust's, are made."""

import asyncio
import os


class Broker:
    """Addresses are made anew when it is entered; what comes to a collected one is in `seen`."""

    # Whether it gives back what was not acknowledged.
    redelivers = True
    names = ("counted", "failing", "seen", "poisoned", "poisoned.dlq")

    def __init__(self):
        self.seen = {}
        self._tasks = []

    async def __aenter__(self):
        await self.open()
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.close()

    def follow(self, collecting):
        self._tasks.append(asyncio.create_task(collecting))

    async def publish_all(self, name, payloads):
        for payload in payloads:
            await self.publish(name, payload)

    async def collect_letters(self, name):
        """Collects dead letters."""
        await self.collect(name)


class Kafka(Broker):
    servers = os.environ.get("MIRROR_KAFKA", "")

    async def open(self):
        from aiokafka import AIOKafkaProducer
        from aiokafka.admin import AIOKafkaAdminClient, NewTopic

        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        await admin.delete_topics(list(self.names))
        async with asyncio.timeout(30):
            while set(self.names) & set(await admin.list_topics()):
                await asyncio.sleep(0.05)
            while not set(self.names) <= set(await admin.list_topics()):
                await admin.create_topics([NewTopic(name, 3, 1) for name in self.names])
                await asyncio.sleep(0.05)
        await admin.close()
        self.producer = AIOKafkaProducer(bootstrap_servers=self.servers)
        await self.producer.start()

    async def close(self):
        await self.producer.stop()

    async def publish(self, name, payload):
        await self.producer.send_and_wait(name, payload)

    async def publish_all(self, name, payloads):
        for payload in payloads:
            await self.producer.send(name, payload)
        await self.producer.flush()

    async def collect(self, name):
        from aiokafka import AIOKafkaConsumer

        seen = self.seen[name] = []
        consumer = AIOKafkaConsumer(name, bootstrap_servers=self.servers, auto_offset_reset="earliest")
        await consumer.start()

        async def collecting():
            try:
                async for record in consumer:
                    seen.append(record.value)
            finally:
                await consumer.stop()

        self.follow(collecting())

    def of_python(self, app, *names):
        from amgi_aiokafka import Server

        return Server(
            app, *names, bootstrap_servers=self.servers, group_id="mirror", auto_offset_reset="earliest"
        )

    def of_rust(self, app, *names, **options):
        from amgi_rs.kafka import Server

        options = {"group_id": "mirror-rust", "auto_offset_reset": "earliest"} | options
        return Server(app, *names, bootstrap_servers=self.servers, **options)


class Mqtt(Broker):
    redelivers = False
    address = os.environ.get("MIRROR_MQTT", ":0")

    async def open(self):
        from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5

        self.host, port = self.address.split(":")
        self.port = int(port)
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self.client.max_inflight_messages_set(1000)
        self.client.on_message = lambda client, _, message: self.seen[message.topic].append(message.payload)
        self.client.connect(self.host, self.port)
        self.client.loop_start()

    async def close(self):
        self.client.loop_stop()
        self.client.disconnect()

    async def publish(self, name, payload):
        self.client.publish(name, payload, qos=1)

    async def collect(self, name):
        self.seen[name] = []
        self.client.subscribe(name, qos=1)

    def of_python(self, app, name):
        from amgi_paho_mqtt import Server
        from paho.mqtt.client import MQTTv5

        return Server(app, name, self.host, self.port, None, protocol=MQTTv5)

    def of_rust(self, app, *names, **options):
        from amgi_rs.mqtt import Server

        return Server(app, list(names), self.host, self.port, "mirror-rust", **options)


class Redis(Broker):
    redelivers = False
    url = os.environ.get("MIRROR_REDIS", "")

    async def open(self):
        from redis.asyncio import from_url

        self.redis = from_url(self.url)

    async def close(self):
        await self.redis.aclose()

    async def publish(self, name, payload):
        await self.redis.publish(name, payload)

    async def collect(self, name):
        seen = self.seen[name] = []
        pubsub = self.redis.pubsub()
        await pubsub.subscribe(name)

        async def collecting():
            async for message in pubsub.listen():
                if message["type"] == "message":
                    seen.append(message["data"])

        self.follow(collecting())

    async def collect_letters(self, name):
        # They are kept in any case.
        await self.redis.delete(name)
        await self.collect_stream(name)

    async def collect_stream(self, name):
        seen = self.seen[name] = []

        async def collecting():
            last = "0"
            while True:
                for _, entries in await self.redis.xread({name: last}, block=100) or ():
                    for last, fields in entries:
                        seen.append(fields[b"payload"])

        self.follow(collecting())

    def of_python(self, app, *names):
        from amgi_redis import Server

        return Server(app, *names, url=self.url)

    def of_rust(self, app, *names, **options):
        from amgi_rs.redis import Server

        return Server(app, *names, url=self.url, **options)


class RedisStreams(Redis):
    """Streams, which Python's server does not know."""

    redelivers = True

    async def open(self):
        await super().open()
        await self.redis.delete(*self.names)

    async def publish(self, name, payload):
        await self.redis.xadd(name, {"payload": payload})

    async def collect(self, name):
        await self.collect_stream(name)

    def of_rust(self, app, *names, **options):
        return super().of_rust(app, *names, via="streams", group="mirror-rust", **options)


class Amqp(Broker):
    url = os.environ.get("MIRROR_AMQP", "")

    async def open(self):
        import aio_pika

        self.connection = await aio_pika.connect_robust(self.url)
        self.channel = await self.connection.channel()
        for name in self.names:
            await self.channel.queue_delete(name)
            await self.channel.declare_queue(name, durable=True)

    async def close(self):
        await self.connection.close()

    async def publish(self, name, payload):
        import aio_pika

        await self.channel.default_exchange.publish(
            aio_pika.Message(payload, message_id="1"), routing_key=name
        )

    async def collect(self, name):
        seen = self.seen[name] = []

        async def collecting(message):
            seen.append(message.body)

        queue = await self.channel.get_queue(name)
        await queue.consume(collecting, no_ack=True)

    def of_python(self, app, *names):
        from amgi_aio_pika import Server

        return Server(app, *names, url=self.url)

    def of_rust(self, app, *names, **options):
        from amgi_rs.amqp import Server

        return Server(app, *names, url=self.url, **options)


class Sqs(Broker):
    # Names of queues have no dots.
    names = ("counted", "failing", "seen", "poisoned", "poisoned--dlq")
    options = {
        "region_name": "us-east-1",
        "endpoint_url": os.environ.get("MIRROR_SQS", ""),
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }

    async def open(self):
        from aiobotocore.session import get_session

        self.context = get_session().create_client("sqs", **self.options)
        self.sqs = await self.context.__aenter__()
        self.urls = {}
        for name in self.names:
            attributes = {"VisibilityTimeout": "1"} if name == "failing" else {}
            self.urls[name] = (await self.sqs.create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]
            await self.sqs.purge_queue(QueueUrl=self.urls[name])

    async def close(self):
        await self.context.__aexit__(None, None, None)

    async def publish(self, name, payload):
        await self.publish_all(name, [payload])

    async def publish_all(self, name, payloads):
        for first in range(0, len(payloads), 10):
            bodies = [payload.decode() for payload in payloads[first : first + 10]]
            entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
            await self.sqs.send_message_batch(QueueUrl=self.urls[name], Entries=entries)

    async def collect(self, name):
        seen = self.seen[name] = []

        async def collecting():
            url = self.urls[name]
            while True:
                response = await self.sqs.receive_message(
                    QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
                )
                for message in response.get("Messages", ()):
                    seen.append(message["Body"].encode())
                    await self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

        self.follow(collecting())

    def of_python(self, app, *names):
        from amgi_aiobotocore.sqs import Server

        return Server(app, *names, **self.options)

    def of_rust(self, app, *names, **options):
        from amgi_rs.sqs import Server

        return Server(app, *names, **self.options, wait=1, **options)


class Nats(Broker):
    """Without JetStream: what is sent to nobody is lost."""

    redelivers = False
    url = os.environ.get("MIRROR_NATS", "")

    async def open(self):
        import nats

        self.nats = await nats.connect(self.url)

    async def close(self):
        await self.nats.close()

    async def publish(self, name, payload):
        await self.nats.publish(name, payload)

    async def collect(self, name):
        seen = self.seen[name] = []

        async def collecting(message):
            seen.append(message.data)

        await self.nats.subscribe(name, cb=collecting)

    def of_rust(self, app, *names, **options):
        from amgi_rs.nats import Server

        return Server(app, *names, servers=self.url, **options)


class JetStream(Nats):
    redelivers = True

    async def open(self):
        from nats.js.errors import NotFoundError

        await super().open()
        self.stream = self.nats.jetstream()
        try:
            await self.stream.delete_stream("mirror")
        except NotFoundError:
            pass
        await self.stream.add_stream(name="mirror", subjects=list(self.names))

    async def publish(self, name, payload):
        await self.stream.publish(name, payload)

    def of_rust(self, app, *names, **options):
        return super().of_rust(app, *names, jetstream=True, declare=True, group="mirror-rust", **options)


async def until(done, seconds=60):
    """Waits for a condition, but not forever."""
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.01)
