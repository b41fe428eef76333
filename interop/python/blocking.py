"""Lets the asynchronous SDKs be used like the synchronous ones, so that one test
is for both."""

import asyncio
import inspect
import threading

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()


def wait(awaitable):
    """Runs an awaitable on the one event loop of the tests, and returns its result."""

    async def run():
        return await awaitable

    return asyncio.run_coroutine_threadsafe(run(), _loop).result(60)


class Blocking:
    """An asynchronous object whose methods block."""

    def __init__(self, make):
        async def run():
            return make()  # on the loop, which some constructors look for

        self.wrapped = wait(run())

    def __getattr__(self, name):
        method = getattr(self.wrapped, name)
        if not callable(method):
            return method

        def call(*args, **kwargs):
            async def run():
                result = method(*args, **kwargs)
                return await result if inspect.isawaitable(result) else result

            result = wait(run())
            return Pages(result) if hasattr(result, "__aiter__") else result

        return call


class Pages:
    """An asynchronous iterator of items, that also comes by pages."""

    def __init__(self, paged):
        self.paged = paged

    def __iter__(self):
        return iter(wait(self._all(self.paged)))

    def by_page(self):
        async def pages():
            return [await self._all(page) async for page in self.paged.by_page()]

        return iter(wait(pages()))

    @staticmethod
    async def _all(items):
        return [item async for item in items] if hasattr(items, "__aiter__") else list(items)
