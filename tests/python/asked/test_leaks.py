"""A million messages leave nothing behind: no object of Python, and no memory of Rust."""

import asyncio
import contextlib
import gc
import os
import sys

from conftest import VERSIONS, Send, receive, scope

from mirror import app

MESSAGES = 1_000_000
# Queues, pools and threads have found their sizes by then.
WARM = 200_000
# The most that may be more in the end: resident memory in bytes, of which allocators keep some, and objects of Python. There are
# 800 lifespans in the meantime, and five times as many messages that are given up.
MEMORY, OBJECTS = 2 << 20, 600

HEADERS = [(b"ETag", b"33a6"), (b"id", b"10"), (b"idempotency-key", b"8e03978e-40d5-43e8-bc93-6894a57f9324")]
# Acknowledged, a send before that, a send that fails, several at once, one after the other, refused, failed, dead-lettered.
EVERY_KIND = [
    scope("counted", b'{"id":1}'),
    scope(
        "payload.object", b'{"id":1}', bindings={"kafka": {"key": b"KEY-001"}}, extensions={"a": {"b": [1]}}
    ),
    scope("headers", None, HEADERS),
    scope("order.1234", b""),
    scope("relay", b'{"name":"anna","count":2,"at_once":true}'),
    scope("relay", b'{"name":"anna","count":1}'),
    scope("refused"),
    scope("payload.simple", b'"no number"'),
    scope("failing", extensions={"amgi.settlement": {}}),
    scope("dead.lettered", b'{"id":1}'),
]
# What most messages are: they do not wait.
PLAIN = [scope("counted", b'{"id":%d}' % number, state={}) for number in range(1, 10)]


class Refusing(Send):
    """Counts how messages are settled, and keeps nothing else."""

    def __init__(self):
        super().__init__("relayed.refused")
        self.count = 0

    async def __call__(self, event):
        try:
            await super().__call__(event)
        finally:
            self.count += len(self.settled)
            self.events.clear()


async def lifespan(messages):
    """Handles messages between a startup and a shutdown, and says how many were settled."""
    settled, kinds = Refusing(), iter(["lifespan.startup", "lifespan.shutdown"])
    state = {}

    async def events():
        kind = next(kinds)
        if kind == "lifespan.shutdown":
            await handle(state, messages, settled)
        return {"type": kind}

    async def send(event):
        assert event["type"].endswith(".complete"), event

    await app({"type": "lifespan", "amgi": VERSIONS, "state": state}, events, send)
    return settled.count


async def handle(state, messages, send):
    for number in range(messages - 20):
        await app(PLAIN[number % 9] | {"state": state.copy()}, receive, send)
    for message in EVERY_KIND:
        await app(message | {"state": state.copy()}, receive, send)
    # Those that wait: five are waited for, and five are given up at different times.
    waiting = scope("waiting", b'{"seconds":0}', state=state.copy())
    await asyncio.gather(*(app(waiting, receive, send) for _ in range(5)))
    waiting["payload"] = b'{"seconds":60}'
    tasks = [asyncio.create_task(app(waiting, receive, send)) for _ in range(5)]
    for task in tasks:
        await asyncio.sleep(0)
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def used():
    """Resident memory, blocks of memory that Python has, and objects that its collector knows."""
    # What was given up is dropped by a thread of tokio.
    await asyncio.sleep(0.1)
    gc.collect()
    return resident(), sys.getallocatedblocks(), len(gc.get_objects())


async def test_a_million_messages_leave_nothing_behind():
    async def some(messages):
        for _ in range(messages // 1000):
            assert await lifespan(1000) == 995, "five are given up"
        return await used()

    before = await some(WARM)
    after = await some(MESSAGES - WARM)
    memory, blocks, objects = (now - then for now, then in zip(after, before))
    assert memory < MEMORY and blocks < OBJECTS and objects < OBJECTS, (memory, blocks, objects)
