"""A function for functions-framework that calls one with the signature of Kubeless. It translates the arguments, of which
the request is one of Bottle's, and leaves everything else to the framework."""

import importlib
import io
import os
import sys

import bottle

sys.path.append(os.environ.get("MOD_ROOT_PATH", "/kubeless"))
handler = getattr(importlib.import_module(os.environ["MOD_NAME"]), os.environ["FUNC_HANDLER"])

CONTEXT = {
    "function-name": os.environ["FUNC_HANDLER"],
    "timeout": float(os.environ.get("FUNC_TIMEOUT", 180)),
    "runtime": os.environ.get("FUNC_RUNTIME"),
    "memory-limit": os.environ.get("FUNC_MEMORY_LIMIT"),
}


def call(request):
    body = request.get_data()
    event = {
        "data": request.get_json() if request.is_json else body,
        "extensions": {"request": bottle.BaseRequest({**request.environ, "wsgi.input": io.BytesIO(body)})},
    }
    for name in ("event-id", "event-type", "event-time", "event-namespace"):
        event[name] = request.headers.get(name)
    result = handler(event, CONTEXT)
    # Flask takes None for a mistake.
    return "" if result is None else result
