"""A server in the shape of Kubeless' Python runtime: Bottle, CherryPy's server with ten threads, and for each call a
process that a fork server makes. It has no metrics and writes no access log.

Usage: kubeless.py PORT FUNCTION
"""

import importlib
import io
import multiprocessing
import os
import queue
import sys

import bottle
from cheroot import wsgi

TIMEOUT = float(os.environ.get('FUNC_TIMEOUT', '180'))
THREADS = 10


def call(module, name, data, environ, results):
    request = bottle.BaseRequest(environ)
    request.environ['wsgi.input'] = io.BytesIO()
    event = {'data': data, 'extensions': {'request': request}}
    try:
        results.put((getattr(importlib.import_module(module), name)(event, {'timeout': TIMEOUT}), None))
    except Exception as error:
        results.put((None, error))


def application(module, name, processes):
    app = bottle.Bottle()

    @app.route('/<:re:.*>', method=['GET', 'POST', 'PATCH', 'DELETE'])
    def handle():
        request = bottle.request
        data = request.json if request.content_type == 'application/json' else request.body.read()
        plain = {name: value for name, value in request.environ.items() if isinstance(value, str)}
        results = processes.Queue()
        process = processes.Process(target=call, args=(module, name, data, plain, results))
        process.start()
        try:
            value, error = results.get(timeout=TIMEOUT)
        except queue.Empty:
            return bottle.HTTPError(408, 'Timeout while processing the function')
        finally:
            process.terminate()
            process.join()
        if error is not None:
            raise error
        return value

    return app


if __name__ == '__main__':
    port, function = sys.argv[1:]
    processes = multiprocessing.get_context('forkserver')
    processes.set_forkserver_preload(['functions'])
    bottle.BaseRequest.MEMFILE_MAX = 1 << 30
    server = wsgi.Server(('127.0.0.1', int(port)), application('functions', function, processes), numthreads=THREADS)
    server.start()
