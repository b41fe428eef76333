"""What the tests share: the emulators' addresses, the SDKs, and patience."""

import inspect
import json
import os
import time
import urllib.parse
import urllib.request
from types import SimpleNamespace

import azure.messaging.webpubsubclient as client_sync
import azure.messaging.webpubsubclient.aio as client_aio
import azure.messaging.webpubsubservice as service_sync
import azure.messaging.webpubsubservice.aio as service_aio
from azure.messaging.webpubsubclient.models import CallbackType

from blocking import Blocking

CONNECTION_STRING = os.environ["WebPubSubConnectionString"]
TLS_CONNECTION_STRING = os.environ["WEBPUBSUB_TLS_CONNECTION_STRING"]
BEHIND_PROXY = os.environ["WEBPUBSUB_PROXY_CONNECTION_STRING"]
REVERSE_PROXY = os.environ["WEBPUBSUB_REVERSE_PROXY"]
HARNESS = os.environ["WEBPUBSUB_HARNESS_URL"]
ALL_ROLES = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]


def endpoint(connection_string):
    return connection_string.split(";")[0].removeprefix("Endpoint=")


class Entra:
    """A token credential whose token only the emulator's loopback mode takes."""

    def get_token(self, *_, **__):
        return SimpleNamespace(token=os.environ["WEBPUBSUB_ENTRA_TOKEN"], expires_on=int(time.time()) + 3600)


class AsyncEntra(Entra):
    async def get_token(self, *_, **__):
        return super().get_token()

    async def close(self):
        pass


def service(hub, connection_string=CONNECTION_STRING, aio=False, **kwargs):
    """The official service client."""
    if aio:
        return Blocking(lambda: service_aio.WebPubSubServiceClient.from_connection_string(connection_string, hub=hub, **kwargs))
    return service_sync.WebPubSubServiceClient.from_connection_string(connection_string, hub=hub, **kwargs)


def entra_service(hub, aio=False):
    """The official service client with a token credential."""
    address = endpoint(TLS_CONNECTION_STRING)
    if aio:
        return Blocking(lambda: service_aio.WebPubSubServiceClient(address, hub, AsyncEntra()))
    return service_sync.WebPubSubServiceClient(address, hub, Entra())


def until(condition, what, seconds=20):
    """Waits for something that must come, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"never saw {what}")


def cut():
    """Cuts every connection through the proxy."""
    request = urllib.request.Request(HARNESS + "/cut", method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def seen(connection_id):
    """The events that the Go event handler got from a connection."""
    query = urllib.parse.urlencode({"connection": connection_id})
    with urllib.request.urlopen(f"{HARNESS}/seen?{query}") as answer:
        return json.load(answer)


class Client:
    """The official client, with what it received. It opens in a with statement."""

    # Behind the proxy by default, which is slower: the synchronous client misses
    # an ack, or its start, that comes before it begins to wait, and goes on when
    # its time is over (30 seconds) as if it had come then.
    def __init__(self, hub, aio=False, url=None, **kwargs):
        token = {key: kwargs.pop(key) for key in ("user_id", "roles", "groups") if key in kwargs}
        self.aio = aio
        url = url or service(hub, BEHIND_PROXY).get_client_access_token(**token)["url"]
        if aio:
            self.sdk = Blocking(lambda: client_aio.WebPubSubClient(url, **kwargs))
        else:
            self.sdk = client_sync.WebPubSubClient(url, **{"ack_timeout": 5, "start_timeout": 5, **kwargs})
        self.connected, self.disconnected, self.stopped, self.group, self.server, self.rejoin_failed = [], [], [], [], [], []
        self.on(CallbackType.CONNECTED, self.connected.append)
        self.on(CallbackType.DISCONNECTED, self.disconnected.append)
        self.on(CallbackType.STOPPED, lambda *_: self.stopped.append(True))
        self.on(CallbackType.GROUP_MESSAGE, self.group.append)
        self.on(CallbackType.SERVER_MESSAGE, self.server.append)
        self.on(CallbackType.REJOIN_GROUP_FAILED, self.rejoin_failed.append)

    def on(self, event, callback):
        """Subscribes. The callback may return an awaitable where the client is asynchronous."""
        if not self.aio:
            self.sdk.subscribe(event, callback)
            return

        async def awaitable(*args):
            result = callback(*args)
            if inspect.isawaitable(result):
                await result

        self.sdk.subscribe(event, awaitable)

    def __enter__(self):
        self.sdk.open()
        until(lambda: self.connected, "connected")
        return self

    def __exit__(self, *_):
        self.sdk.close()

    @property
    def id(self):
        return self.connected[-1].connection_id
