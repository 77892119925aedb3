"""The functions as ASGI applications. FUNCTION says which one is served as `app`."""

import asyncio
import json
import os

import work


async def answer(send, body, media_type=b'text/html; charset=UTF-8'):
    headers = [(b'content-type', media_type), (b'content-length', b'%d' % len(body))]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': body})


async def body_of(receive):
    pieces, more = [], True
    while more:
        message = await receive()
        pieces.append(message.get('body', b''))
        more = message.get('more_body', False)
    return b''.join(pieces)


async def hello(scope, receive, send):
    await answer(send, b'hello')


async def echo(scope, receive, send):
    data = json.loads(await body_of(receive))
    await answer(send, json.dumps(data).encode(), b'application/json')


async def mirror(scope, receive, send):
    await answer(send, await body_of(receive), b'application/octet-stream')


async def stream(scope, receive, send):
    headers = [(b'content-type', b'application/octet-stream')]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    for _ in range(work.PIECES):
        await send({'type': 'http.response.body', 'body': work.PIECE, 'more_body': True})
    await send({'type': 'http.response.body', 'body': b''})


async def wait(scope, receive, send):
    await asyncio.sleep(0.01)
    await answer(send, b'slept')


async def mandelbrot(scope, receive, send):
    await answer(send, work.mandelbrot().encode())


async def fail(scope, receive, send):
    raise RuntimeError('as asked')


app = globals()[os.environ['FUNCTION']]
