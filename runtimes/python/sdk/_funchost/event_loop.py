"""The event loop that `async def` handlers share."""

import asyncio

from _funchost.errors import Stopped


def new_loop():
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Server:
    """Runs calls as tasks. `runner` is the host's side of it."""

    def __init__(self, runner, current, handler):
        self.runner = runner
        self.current = current
        self.handler = handler
        self.tasks = {}
        self.waiting = {}
        self.loop = new_loop()
        self.stopping = False

    def run(self):
        """Runs until the host ends. A handler that was interrupted in the loop's own code must not end it."""
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(self.report)
        self.loop.add_reader(self.runner.fileno(), self.drain)
        while not self.stopping:
            try:
                self.loop.run_forever()
            except Stopped:
                pass
            except BaseException as error:
                self.runner.stray(error, None)

    def drain(self):
        """Takes what the host has put into the inbox."""
        for order, call, value in self.runner.take():
            if order == 'run':
                self.tasks[call.number] = self.loop.create_task(self.serve(call, value))
            elif order == 'cancel':
                task = self.tasks.get(call.number)
                if task is not None:
                    task.cancel()
            elif order == 'room':
                room = self.waiting.pop(call.number, None)
                if room is not None and not room.done():
                    room.set_result(None)
            elif order == 'stop':
                self.stopping = True
                self.loop.stop()

    def is_running(self, call):
        """Whether the loop's thread is inside this call at this moment. Called from other threads."""
        task = self.tasks.get(call.number)
        return task is not None and asyncio.current_task(self.loop) is task

    async def serve(self, call, value):
        """One call. `value` is what a plain function returned and wants to be awaited, if it is not `None`."""
        self.current.set(call)
        try:
            if value is None:
                arguments = self.runner.arguments(call)
                if arguments is None:
                    return
                value = self.handler(*arguments)
            if hasattr(type(value), '__await__'):
                value = await value
            sink = self.runner.reply(call, value)
            if sink is not None:
                await self.stream(call, sink)
        except BaseException as error:
            self.runner.failed(call, error)
        finally:
            self.tasks.pop(call.number, None)
            self.waiting.pop(call.number, None)
            self.runner.over(call)

    async def stream(self, call, sink):
        """Sends what an asynchronous iterator gives, no faster than the client takes it."""
        source = sink.source
        try:
            async for piece in source:
                if not sink.write(piece):
                    room = self.waiting[call.number] = self.loop.create_future()
                    if sink.wait():
                        await room
            sink.end()
        finally:
            close = getattr(source, 'aclose', None)
            if close is not None:
                await close()

    def report(self, _, context):
        """The loop's exception handler: errors that no call can answer for."""
        error = context.get('exception')
        if error is None:
            error = RuntimeError(context.get('message', 'error in the event loop'))
        task = context.get('task') or context.get('future')
        get_context = getattr(task, 'get_context', None)
        call = get_context().get(self.current) if get_context is not None else None
        self.runner.stray(error, call)
