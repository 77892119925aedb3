"""What the request brings: `event['data']` is parsed when it is JSON, and bytes otherwise."""


def handler(event, context):
    data = event['data']
    print('got', type(data).__name__, 'of type', event['event-type'], 'for', context['function-name'])
    if isinstance(data, bytes):
        return f'{len(data)} bytes: {data[:20]!r}'
    return {'you sent': data, 'event-id': event['event-id'], 'timeout': context['timeout']}
