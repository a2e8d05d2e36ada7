"""What the tests of servers share."""

import asyncio
import contextlib


@contextlib.asynccontextmanager
async def serving(server, ready=None):
    """Runs a server; it stops in time."""
    task = asyncio.create_task(server.serve())
    await asyncio.sleep(0.2) if ready is None else await asyncio.wait_for(ready, 30)
    if task.done():
        await task
    try:
        yield
    finally:
        server.stop()
        async with asyncio.timeout(30):
            await task
