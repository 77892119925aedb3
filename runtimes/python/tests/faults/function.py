"""Does to its process what the path says."""

import ctypes
import os
import signal
import sys
import threading
import time


def ok():
    return 'ok'


def spin():
    while True:
        pass


def block():
    ctypes.CDLL(None).sleep(600)


def swallow():
    turns = 0
    while True:
        turns += 1
        try:
            turns += 1
            while True:
                turns += 1
        except BaseException:
            turns += 1


def recurse():
    return recurse()


def allocate():
    everything = []
    while True:
        everything.append(b'x' * (1 << 20))


def exit():
    os._exit(0)


def abort():
    os.abort()


def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(600)


def close():
    os.closerange(0, 4096)
    time.sleep(600)


def panic():
    def fail():
        raise RuntimeError('in a thread')

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def flood():
    for _ in range(100):
        os.write(1, b'a' * (1 << 20))
        sys.stdout.write('b' * (1 << 20))


def outlive():
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def sigterm():
    # Python does this in its main thread only, which is not ours; a C library may do it anywhere.
    ctypes.CDLL(None).signal(int(signal.SIGTERM), 1)
    ctypes.CDLL(None).signal(int(signal.SIGINT), 1)


def fork():
    # The child comes back as if it were the call.
    os.fork()


def chdir():
    os.chdir('/')


def umask():
    os.umask(0o777)


def endless():
    while True:
        yield b'x' * 65536


def handler(event, context):
    path = event['extensions']['request'].path
    return globals()[path[1:]]() or 'done'
