"""`event['extensions']['request']` is a Bottle request: path, query, headers, cookies, forms and more."""


def handler(event, context):
    request = event['extensions']['request']
    who = request.query.get('name') or request.get_cookie('name') or 'stranger'
    return {
        'greeting': f'hello {who}',
        'method': request.method,
        'path': request.path,
        'agent': request.get_header('User-Agent', 'unknown'),
        'forwarded': request.get_header('X-Forwarded-For'),
        'tags': request.query.getall('tag'),
        'signed in as': request.auth[0] if request.auth else None,
    }
