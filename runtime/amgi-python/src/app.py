"""How an AMGI server of Python calls an application that is written in Rust."""

import asyncio
import json
import weakref

_loops = weakref.WeakKeyDictionary()


def _event_loop(loop):
    """The way from Rust's threads to this loop."""
    events = _loops.get(loop)
    if events is None:
        events = _loops[loop] = EventLoop()
        loop.add_reader(events.fileno(), events.run)
    return events


async def _run(begin):
    """What Rust's threads make of something."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    running = begin(waiter, _event_loop(loop))
    try:
        return await waiter
    finally:
        running.abort()


async def _send(send, event, sent):
    try:
        await send(event)
    except Exception as error:
        sent.failed(f"{type(error).__name__}: {error}")
    else:
        sent.succeeded()


class App:
    def __init__(self, native, document):
        self._native = native
        self._document = document

    async def __call__(self, scope, receive, send):
        if scope["type"] != "message":
            return await self._other(scope, receive, send)
        # Here, because another coroutine takes a tenth of what a message takes.
        call = self._native.message(scope)
        try:
            while (sends := call.sends()) is not None:
                if not sends:
                    loop = asyncio.get_running_loop()
                    waiter = loop.create_future()
                    call.wait(waiter, _event_loop(loop))
                    await waiter
                elif len(sends) == 1:
                    await _send(send, *sends[0])
                else:
                    await asyncio.gather(*(_send(send, *each) for each in sends))
        except BaseException:
            call.cancel()
            raise
        event = call.settlement()
        if event is not None:
            await send(event)

    def asyncapi(self):
        """The AsyncAPI document."""
        return json.loads(self._document)

    async def _other(self, scope, receive, send):
        if scope["type"] != "lifespan":
            raise ValueError(f"AMGI has no scope {scope['type']!r}")
        lifespan = None
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                try:
                    lifespan = await _run(self._native.startup)
                except Exception as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                if "state" in scope:
                    scope["state"]["amgi_python"] = lifespan
                await send({"type": "lifespan.startup.complete"})
            elif event["type"] == "lifespan.shutdown":
                try:
                    if lifespan is not None:
                        await _run(lifespan.shutdown)
                except Exception as error:
                    await send({"type": "lifespan.shutdown.failed", "message": str(error)})
                else:
                    await send({"type": "lifespan.shutdown.complete"})
                return
