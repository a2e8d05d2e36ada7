"""What the servers have in common: the application's lifespan, and the tasks that handle its messages."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, AsyncContextManager

from amgi_types import AMGIApplication, MessageSendEvent

from amgi_rs._native import EventLoop
from amgi_rs._native import Server as _Native

MessageSend = Callable[[MessageSendEvent], Awaitable[None]]
MessageSendManager = AsyncContextManager[MessageSend]

_logger = logging.getLogger("amgi_rs")

_VERSIONS = {"version": "2.0", "spec_version": "2.0"}
# A nack may say what is to become of the message: `disposition`, which is "retry", "dead-letter" or "discard", and for "retry" a
# `delay` in seconds.
_EXTENSIONS: dict[str, dict[str, Any]] = {"amgi.settlement": {}}
# Messages that a task handles before others have a turn.
_TURN = 32
# Tasks that are kept while there is nothing to do.
_IDLE = 64


async def _receive() -> Any:
    raise RuntimeError("Receive should not be called: a message has no events")


class LifespanFailureError(Exception):
    """The application did not start, or did not shut down well."""


class BaseServer:
    """A server of one broker. It runs once.

    message_send: async context manager that gives what messages are sent with, instead of the broker.
    strict: whether scopes are those of the Python server of the broker, and nothing more.
    attempts: how often a message is tried before it is given up. Default: 5.
    first_pause, longest_pause: seconds between attempts. Default: 0.1 and 30.
    dead_letter: address for messages that are given up. Default: the address with `.dlq` behind it, `--dlq` on SQS.
    more: options of the broker by name, see `OPTIONS` of its module; they are over `given`.
    """

    protocol = ""

    def __init__(
        self,
        app: AMGIApplication,
        addresses: tuple[str, ...],
        given: dict[str, Any],
        *,
        message_send: MessageSendManager | None = None,
        strict: bool = False,
        attempts: int | None = None,
        first_pause: float | None = None,
        longest_pause: float | None = None,
        dead_letter: str | None = None,
        **more: Any,
    ) -> None:
        self._app = app
        self._manager = message_send
        self._message_send: MessageSend | None = None
        self._strict = strict
        options = {name: _text(value) for name, value in (given | more).items() if value is not None}
        self._native = _Native(
            self.protocol, list(addresses), options, attempts, first_pause, longest_pause, dead_letter
        )

    async def serve(self) -> None:
        """Receives until `stop` is called. What was begun is finished first."""
        loop = asyncio.get_running_loop()
        events = EventLoop()
        loop.add_reader(events.fileno(), events.run)
        try:
            async with contextlib.AsyncExitStack() as stack:
                if self._manager is not None:
                    self._message_send = await stack.enter_async_context(self._manager)
                half = _Half(self._app, self._message_send, self.narrow if self._strict else None, loop)
                stack.push_async_callback(half.close)
                waiter = loop.create_future()
                running = self._native.serve(events, half, waiter)
                try:
                    await waiter
                finally:
                    running.abort()
                    if half.failure is not None:
                        raise half.failure
        finally:
            loop.remove_reader(events.fileno())

    def stop(self) -> None:
        """Asks the server to stop."""
        self._native.stop()

    def narrow(self, scope: dict[str, Any]) -> None:
        """Leaves in a scope what the Python server of the broker has in it."""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(_text(each) for each in value)
    if isinstance(value, dict):
        return ",".join(f"{name}={_text(each)}" for name, each in value.items())
    return str(value)


def pattern(address: str, separator: str, one: str, rest: str) -> str:
    """An address with parameters for the wildcards of a broker: `one` stands for a level. There is nothing for `rest`."""
    levels = address.split(separator)
    if rest in levels:
        raise ValueError(
            f"{address!r}: there is no wildcard for any number of levels; write a {one!r} for each"
        )
    return separator.join(
        f"{{level{index}}}" if level == one else level for index, level in enumerate(levels)
    )


class _Lifespan:
    """The one call of the application that lasts as long as the server."""

    def __init__(self, app: AMGIApplication, lenient: bool) -> None:
        self._app = app
        # Whether an application that fails while it starts is taken for one that knows no lifespan, as Python's servers do.
        self._lenient = lenient
        self.state: dict[str, Any] = {}
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._asked = False
        # The server receives, or never will.
        self.ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        self._task = asyncio.create_task(self._run())
        await self._ask("startup")

    async def shutdown(self) -> None:
        self.ready.set()
        if self._task is not None and not self._task.done():
            await self._ask("shutdown")

    async def close(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _ask(self, what: str) -> None:
        assert self._task is not None
        self._events.put_nowait({"type": f"lifespan.{what}"})
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait([answer, self._task], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            event = answer.result()
            if event["type"] == f"lifespan.{what}.failed":
                raise LifespanFailureError(event["message"])
            return
        answer.cancel()
        error = None if self._task.cancelled() else self._task.exception()
        if error is not None and what == "startup" and (self._lenient or not self._asked):
            _logger.info("the application knows no lifespan: %r", error)
        elif error is not None:
            raise LifespanFailureError(f"{type(error).__name__}: {error}") from error

    async def _run(self) -> None:
        scope = {"type": "lifespan", "amgi": dict(_VERSIONS), "state": self.state}
        await self._app(scope, self._receive, self._send)  # type: ignore[arg-type]

    async def _receive(self) -> Any:
        self._asked = True
        return await self._events.get()

    async def _send(self, event: Any) -> None:
        if not event["type"].startswith("lifespan."):
            raise ValueError(f"an application does not send {event['type']!r} in its lifespan")
        self._answers.put_nowait(event)
        if event["type"] == "lifespan.startup.complete":
            # As with the servers in Python, which subscribe first.
            await self.ready.wait()


def _sender(line: Any, at: int, message_send: MessageSend | None) -> Callable[[Any], Awaitable[None]]:
    """The `send` of the message at this place of a line."""

    async def send(event: Any) -> None:
        kind = event["type"]
        if kind == "message.ack":
            line.ack(at)
        elif kind == "message.nack":
            line.nack(at, event["message"], event.get("disposition"), event.get("delay"))
        elif kind == "message.send":
            if message_send is not None:
                await message_send(event)
            else:
                future = asyncio.get_running_loop().create_future()
                if not line.send(event, future):
                    await future
        else:
            raise ValueError(f"AMGI has no event {kind!r}")

    return send


class _Half:
    """What the Rust half of a server calls, on the event loop. Tasks are few, and each handles many messages."""

    def __init__(
        self,
        app: AMGIApplication,
        message_send: MessageSend | None,
        narrow: Callable[[dict[str, Any]], None] | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._app = app
        self._message_send = message_send
        self._narrow = narrow
        self._extensions = None if narrow is not None else _EXTENSIONS
        self._loop = loop
        self._lifespan = _Lifespan(app, lenient=narrow is not None)
        self.failure: BaseException | None = None
        self._waiting: deque[Any] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_pumping = False
        self._is_closing = False
        self._burst = 1

    def ready(self) -> None:
        """The broker is there, and what it has for us comes."""
        self._lifespan.ready.set()

    def startup(self, reply: Any) -> None:
        self._answer(reply, self._lifespan.startup())

    def shutdown(self, reply: Any) -> None:
        self._answer(reply, self._lifespan.shutdown())

    def _answer(self, reply: Any, asked: Any) -> None:
        async def answer() -> None:
            try:
                await asked
            except BaseException as error:
                self.failure = error
                reply.failed(str(error))
            else:
                reply.succeeded()

        self._keep(self._loop.create_task(answer()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def submit(self, line: Any) -> None:
        """Has messages handled, one after the other."""
        self._waiting.append(line)
        if not self._is_pumping:
            self._is_pumping = True
            self._start()
            self._loop.call_soon(self._pump)

    def _start(self) -> None:
        if self._idle:
            self._idle.pop().set_result(None)
        else:
            self._keep(self._loop.create_task(self._work()))

    def _pump(self) -> None:
        """Has tasks for what waits: the first may handle everything, so more and more join only while something is left."""
        waiting = len(self._waiting)
        if not waiting:
            self._is_pumping = False
            self._burst = 1
            return
        for _ in range(min(self._burst, waiting)):
            self._start()
        self._burst *= 2
        self._loop.call_soon(self._pump)

    async def _work(self) -> None:
        task = asyncio.current_task()
        handled = 0
        while True:
            while self._waiting:
                line = self._waiting.popleft()
                at = 0
                while await self._handle(line, at, task):
                    at += 1
                    handled += 1
                    if handled % _TURN == 0:
                        await asyncio.sleep(0)
            if len(self._idle) >= _IDLE:
                return
            turn = self._loop.create_future()
            self._idle.append(turn)
            try:
                await turn
            finally:
                if turn in self._idle:
                    self._idle.remove(turn)

    async def _handle(self, line: Any, at: int, task: Any) -> bool:
        """False when there is nothing more to do in a line."""
        failure = None
        try:
            scope = line.begin(task, self._lifespan.state, self._extensions)
            if scope is None:
                return False
            if self._narrow is not None:
                self._narrow(scope)
            await self._app(scope, _receive, _sender(line, at, self._message_send))
        except asyncio.CancelledError:
            if self._is_closing or not line.is_given_up:
                line.abandon()
                raise
        except Exception as error:
            _logger.exception("the application failed at a message from %s", line.address)
            failure = f"{type(error).__name__}: {error}"
        except BaseException:
            line.abandon()
            raise
        if line.end(failure) and sys.version_info >= (3, 11):
            task.uncancel()
        return True

    async def close(self) -> None:
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._lifespan.close()


def server_serve(server: BaseServer) -> None:
    """Serves until SIGINT or SIGTERM."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        await server.serve()

    asyncio.run(serve())
