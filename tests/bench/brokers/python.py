"""The service of specs/numbers.yaml, on the Python server of a broker: python.py WAY SERVER URL MESSAGES. WAY is `python`, with
AsyncFast, `amgi-rs`, the same on Rust's server, or `bridge`, the generated one as a Python module.

Says what handling so many messages took, as the measured process of `throughput` does.
"""

import asyncio
import importlib
import json
import os
import resource
import sys
import threading
import time
from typing import Annotated
from urllib.parse import urlsplit

LANES = 8
# Where nothing is redelivered some messages may be missing; then it ends when nothing came for so long, in seconds.
SILENCE = 2.0

way, server, url = sys.argv[1:4]
messages = int(sys.argv[4])
separator = "/" if server.startswith("mqtt") else "-" if server.startswith("sqs") else "."
# How long a handler takes, in seconds.
pause = 0.2 if server == "sqs-slow" else 0.0


def asyncfast():
    """The service with AsyncFast."""
    from asyncfast import AsyncFast
    from pydantic import BaseModel, Field, StringConstraints

    class Number(BaseModel):
        id: Annotated[int, Field(ge=0)]
        note: Annotated[str, Field(max_length=400)] | None = None
        tags: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(max_length=8)] = []

    app = AsyncFast()
    seen = 0
    began = used = last = 0.0

    def end() -> None:
        wall, cpu = last - began, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"messages": seen, "seconds": wall, "cpu": cpu, "peak_kib": peak}), flush=True)
        os._exit(0)

    @app.channel(f"numbers{separator}{{lane}}")
    async def on_number(lane: str, payload: Number) -> None:
        nonlocal seen, began, used, last
        if pause:
            await asyncio.sleep(pause)
        seen += 1
        last = time.monotonic()
        if seen == 1:
            began, used = last, time.process_time()
        if seen == messages:
            end()

    def watch() -> None:
        while True:
            time.sleep(SILENCE / 4)
            if last and time.monotonic() - last > SILENCE:
                end()

    threading.Thread(target=watch, daemon=True).start()
    return app


def bridge():
    """The generated service, which says itself what it took."""
    os.environ.update(MESSAGES=str(messages), PAUSE=str(pause))
    from numbers_service import app

    if separator == ".":
        return app

    # As it is in the document, where the Rust servers do this.
    def addressed(scope, receive, send):
        if scope["type"] == "message":
            scope["address"] = scope["address"].replace(separator, ".")
        return app(scope, receive, send)

    return addressed


app = bridge() if way == "bridge" else asyncfast()
addresses = [f"numbers{separator}{lane}" for lane in range(LANES)]
at = urlsplit(url)
# What the servers in Python and those in Rust are both told.
if server.startswith("mqtt"):
    modules = ("amgi_paho_mqtt", "amgi_rs.mqtt")
    addresses = ["numbers/+"]
    options = {"host": at.hostname, "port": at.port, "client_id": "measured"}
elif server == "redis-pubsub":
    modules = ("amgi_redis", "amgi_rs.redis")
    options = {"url": url}
elif server.startswith("sqs"):
    modules = ("amgi_aiobotocore.sqs", "amgi_rs.sqs")
    if pause:
        # All that there is of a poller, with one queue.
        addresses = addresses[:1]
    options = {
        "region_name": "us-east-1",
        "endpoint_url": f"http://{at.hostname}:{at.port}",
        "aws_access_key_id": at.username,
        "aws_secret_access_key": at.password,
    }
elif server == "amqp":
    modules = ("amgi_aio_pika", "amgi_rs.amqp")
    # A queue that has all numbers; addresses are routing keys.
    addresses = ["python"]
    options = {"url": url} | ({"strict": True} if way == "amgi-rs" else {})
elif server == "kafka":
    modules = ("amgi_aiokafka", "amgi_rs.kafka")
    options = {
        "bootstrap_servers": f"{at.hostname}:{at.port}",
        "group_id": f"python-{os.getpid()}",
        "auto_offset_reset": "earliest",
    }
else:
    sys.exit(f"no Python server for {server}")
importlib.import_module(modules[way == "amgi-rs"]).run(app, *addresses, **options)
