"""The smallest function: what it returns is the answer."""


def handler(event, context):
    return 'hello world'
