"""An `async def` handler: many calls wait at once on one event loop."""

import asyncio


async def fetch(name, seconds):
    await asyncio.sleep(seconds)
    return name


async def handler(event, context):
    names = await asyncio.gather(fetch('one', 0.2), fetch('two', 0.1), fetch('three', 0.2))
    return {'fetched': names}
