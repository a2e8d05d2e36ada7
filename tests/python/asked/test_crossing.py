"""Many messages at once, cancellation, and what stays behind."""

import asyncio
import gc
import json
import threading
import time

import pytest
from conftest import Send, receive, scope

from mirror import app


def waiting(seconds):
    return scope("waiting", json.dumps({"seconds": seconds}).encode())


async def given_up():
    send = Send()
    await app(waiting(0), receive, send)
    return json.loads(json.loads(send.sent[0]["payload"]))


async def test_many_messages_at_once():
    sends = [Send() for _ in range(200)]
    begun = time.monotonic()
    await asyncio.gather(*(app(waiting(0.2), receive, send) for send in sends))
    assert time.monotonic() - begun < 4, "one after the other it takes 40 s"
    assert all(send.settled == [{"type": "message.ack"}] for send in sends)


async def test_python_runs_while_handlers_wait():
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await app(waiting(0.3), receive, Send())
    ticking.cancel()
    assert ticks > 10


async def test_who_is_cancelled_gives_the_message_up():
    before = await given_up()
    send = Send()
    task = asyncio.create_task(app(waiting(60), receive, send))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        while await given_up() == before:
            await asyncio.sleep(0.01)
    assert send.events == []


async def test_who_is_cancelled_in_a_send_gives_the_message_up():
    begun = asyncio.Event()

    async def send(event):
        begun.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(app(scope("relay", b'{"name":"anna","count":3}'), receive, send))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_of_python():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await app(waiting(60), receive, Send())


def test_one_event_loop_after_the_other():
    for _ in range(20):
        send = Send()
        asyncio.run(app(waiting(0.001), receive, send))
        assert send.settled == [{"type": "message.ack"}]


def test_an_event_loop_in_every_thread():
    sends = [Send() for _ in range(8)]

    async def several(send):
        for _ in range(20):
            await app(waiting(0.002), receive, send)

    threads = [threading.Thread(target=lambda send=send: asyncio.run(several(send))) for send in sends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(send.settled) == 20 for send in sends)


async def test_nothing_is_left_behind():
    async def some(count):
        send = Send()
        for number in range(count):
            await app(scope("payload.object", b'{"id":1}', HEADERS, bindings=BINDINGS), receive, send)
            await app(scope("failing"), receive, send)
            await app(scope("relay", b'{"name":"anna","count":2,"at_once":true}'), receive, send)
            if number % 10 == 0:
                await app(waiting(0.0001), receive, send)
            send.events.clear()
        gc.collect()
        return len(gc.get_objects())

    await some(100)
    before = await some(100)
    assert await some(2000) - before < 100


HEADERS = [(b"a", b"1"), (b"b", b"2")]
BINDINGS = {"kafka": {"key": b"KEY-001"}}
