"""The functions as WSGI applications. FUNCTION says which one is served as `app`."""

import json
import os
import time

import work


def answer(start_response, body, media_type='text/html; charset=UTF-8'):
    start_response('200 OK', [('Content-Type', media_type), ('Content-Length', str(len(body)))])
    return [body]


def body_of(environ):
    return environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))


def hello(environ, start_response):
    return answer(start_response, b'hello')


def echo(environ, start_response):
    data = json.loads(body_of(environ))
    return answer(start_response, json.dumps(data).encode(), 'application/json')


def mirror(environ, start_response):
    return answer(start_response, body_of(environ), 'application/octet-stream')


def stream(environ, start_response):
    start_response('200 OK', [('Content-Type', 'application/octet-stream')])
    return (work.PIECE for _ in range(work.PIECES))


def wait(environ, start_response):
    time.sleep(0.01)
    return answer(start_response, b'slept')


def mandelbrot(environ, start_response):
    return answer(start_response, work.mandelbrot().encode())


def fail(environ, start_response):
    raise RuntimeError('as asked')


app = globals()[os.environ['FUNCTION']]
