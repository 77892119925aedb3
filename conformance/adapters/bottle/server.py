"""What Kubeless' Python runtime does, on the packages that it was made of: Bottle, CherryPy's server, and a process of
its own for each call, which is killed when its time is over."""

import importlib
import io
import logging
import multiprocessing
import os
import queue
import sys

import bottle
import prometheus_client
from cheroot import wsgi
from requestlogger import ApacheFormatter, WSGILogger

MODULE = os.environ["MOD_NAME"]
HANDLER = os.environ["FUNC_HANDLER"]
TIMEOUT = float(os.environ.get("FUNC_TIMEOUT", 180))
ROOT = os.environ.get("MOD_ROOT_PATH", "/kubeless")
EVENT_HEADERS = ("event-id", "event-type", "event-time", "event-namespace")

sys.path.append(ROOT)
bottle.BaseRequest.MEMFILE_MAX = int(os.environ.get("FUNC_MEMFILE_MAX", 100 * 1024 * 1024))

calls = prometheus_client.Counter("function_calls", "Number of calls to user function", ["method"])
failures = prometheus_client.Counter("function_failures", "Number of exceptions in user function", ["method"])
duration = prometheus_client.Histogram("function_duration_seconds", "Duration of user function in seconds", ["method"])


def run(results, environ, body, data, context):
    """One call, in its own process. Its result, or what it raised, is sent back."""
    request = bottle.BaseRequest({**environ, "wsgi.input": io.BytesIO(body)})
    event = {"data": data, "extensions": {"request": request}}
    event.update((name, request.get_header(name)) for name in EVENT_HEADERS)
    try:
        results.put(getattr(importlib.import_module(MODULE), HANDLER)(event, context))
    except Exception as error:
        logging.exception("the function raised an exception")
        results.put(error)


def invoke(processes, context):
    """What all paths but the server's own are answered with."""
    request = bottle.request
    body = request.body.read()
    data = request.json if request.get_header("content-type") == "application/json" else body
    # Sockets and the like cannot be sent to another process.
    environ = {name: value for name, value in request.environ.items() if isinstance(value, (str, int, float, tuple))}
    method = request.method
    calls.labels(method).inc()
    with failures.labels(method).count_exceptions(), duration.labels(method).time():
        results = processes.Queue()
        process = processes.Process(target=run, args=(results, environ, body, data, context))
        process.start()
        try:
            result = results.get(timeout=TIMEOUT)
        except queue.Empty:
            process.terminate()
            process.join()
            return bottle.HTTPError(408, "the function took too long")
        process.join()
        if isinstance(result, Exception) and not isinstance(result, bottle.HTTPResponse):
            raise result
        return result


def metrics():
    bottle.response.content_type = prometheus_client.CONTENT_TYPE_LATEST
    return prometheus_client.generate_latest()


def main():
    # What cannot be loaded ends the server here, and not the first call.
    handler = getattr(importlib.import_module(MODULE), HANDLER)
    context = {
        "function-name": handler.__name__,
        "timeout": TIMEOUT,
        "runtime": os.environ.get("FUNC_RUNTIME"),
        "memory-limit": os.environ.get("FUNC_MEMORY_LIMIT"),
    }
    # The process that all the others are forked from has loaded the function, which it finds with PYTHONPATH.
    processes = multiprocessing.get_context(os.environ.get("MP_CONTEXT", "forkserver"))
    processes.set_forkserver_preload(["bottle", "cheroot.wsgi", "prometheus_client", "requestlogger", MODULE])

    app = bottle.Bottle()
    app.get("/healthz", callback=lambda: "OK")
    app.get("/metrics", callback=metrics)
    app.route("/<:re:.*>", ["GET", "POST", "PATCH", "DELETE"], lambda: invoke(processes, context))
    logged = WSGILogger(app, [logging.StreamHandler(sys.stdout)], ApacheFormatter(), propagate=False)
    address = ("0.0.0.0", int(os.environ.get("FUNC_PORT", 8080)))
    wsgi.Server(address, logged, numthreads=int(os.environ.get("CHERRYPY_NUMTHREADS", 10))).start()


if __name__ == "__main__":
    main()
