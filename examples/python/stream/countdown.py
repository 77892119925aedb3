"""A generator: every piece is sent when it is made. Its `finally` runs also when the client leaves early."""

import time

from bottle import HTTPResponse


def count(start):
    try:
        for number in range(start, 0, -1):
            yield f'data: {number}\n\n'
            time.sleep(0.05)
        yield 'data: lift-off\n\n'
    finally:
        print('countdown over')


def handler(event, context):
    start = int(event['extensions']['request'].query.get('from', '3'))
    return HTTPResponse(count(start), headers={'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store'})
