"""The functions as Kubeless has them: for funchost-python and for the Kubeless shape."""

import time

import work


def hello(event, context):
    return 'hello'


def echo(event, context):
    return event['data']


mirror = echo


def stream(event, context):
    for _ in range(work.PIECES):
        yield work.PIECE


def wait(event, context):
    time.sleep(0.01)
    return 'slept'


def mandelbrot(event, context):
    return work.mandelbrot()


def fail(event, context):
    raise RuntimeError('as asked')


def storm(event, context):
    if event['extensions']['request'].path == '/spin':
        work.spin()
    return 'ok'
