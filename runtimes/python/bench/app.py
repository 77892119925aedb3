"""The same function twice: for granian as WSGI has it, and for the Python host as Kubeless has it."""


def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/html; charset=UTF-8'), ('Content-Length', '11')])
    return [b'hello world']


def handler(event, context):
    return 'hello world'
