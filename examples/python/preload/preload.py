"""A module that takes long to load. It does so once, before the host says it is ready; calls are fast."""

import time

print('loading a large model ...')
time.sleep(4)
MODEL = {'answer': 42}
print('... loaded')


def handler(event, context):
    return MODEL
