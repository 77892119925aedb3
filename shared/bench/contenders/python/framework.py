"""The functions as functions-framework has them, over Flask's request."""

import time

import work
from flask import Response


def hello(request):
    return 'hello'


def echo(request):
    return request.get_json()


def mirror(request):
    return request.get_data()


def stream(request):
    return Response(work.PIECE for _ in range(work.PIECES))


def wait(request):
    time.sleep(0.01)
    return 'slept'


def mandelbrot(request):
    return work.mandelbrot()


def fail(request):
    raise RuntimeError('as asked')
