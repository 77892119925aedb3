import platform


def handler(event, context):
    """Says which Python it runs on."""
    return {"python": platform.python_version()}
