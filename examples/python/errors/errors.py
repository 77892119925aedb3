"""What can go wrong: the client learns little, the log learns all."""

from bottle import HTTPError, HTTPResponse


def handler(event, context):
    kind = event['extensions']['request'].query.get('kind')
    if kind == 'refused':
        raise HTTPError(403, 'not with that ticket')
    if kind == 'elsewhere':
        return HTTPResponse(status=302, headers={'Location': '/elsewhere'})
    if kind == 'validation':
        return HTTPResponse({'error': 'name is missing'}, status=422)
    if kind == 'exit':
        raise SystemExit('functions do not end the host')
    if kind == 'endless':
        while True:
            pass
    raise ValueError('a bug with a secret in its message')
