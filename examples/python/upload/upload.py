"""A form with a file: the file is saved, its content read back."""

import os
import tempfile

from bottle import HTTPResponse


def handler(event, context):
    request = event['extensions']['request']
    upload = request.files.get('file')
    if upload is None:
        return HTTPResponse('the form has no file\n', status=400, headers={'Content-Type': 'text/plain'})
    with tempfile.TemporaryDirectory() as folder:
        # `filename` has been cleaned: no path of the client's making gets this far.
        path = os.path.join(folder, upload.filename)
        upload.save(path)
        with open(path, 'rb') as saved:
            size = len(saved.read())
    return {'title': request.forms.title, 'name': upload.filename, 'type': upload.content_type, 'size': size}
