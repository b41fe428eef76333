"""What the tests share: the emulator's address, and patience."""

import json
import os
import time
import urllib.parse
import urllib.request

from azure.messaging.webpubsubclient import WebPubSubClient
from azure.messaging.webpubsubclient.models import CallbackType
from azure.messaging.webpubsubservice import WebPubSubServiceClient

CONNECTION_STRING = os.environ["WEBPUBSUB_CONNECTION_STRING"]
BEHIND_PROXY = os.environ["WEBPUBSUB_PROXY_CONNECTION_STRING"]
BACKSTAGE = os.environ["WEBPUBSUB_BACKSTAGE"]
ALL_ROLES = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]


def service(hub, connection_string=CONNECTION_STRING):
    return WebPubSubServiceClient.from_connection_string(connection_string, hub=hub)


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
    request = urllib.request.Request(BACKSTAGE + "/cut", method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def seen(connection_id):
    """The events that the Go event handler got from a connection."""
    query = urllib.parse.urlencode({"connection": connection_id})
    with urllib.request.urlopen(f"{BACKSTAGE}/seen?{query}") as answer:
        return json.load(answer)


class Client:
    """The official client, with what it received."""

    def __init__(self, hub, connection_string=CONNECTION_STRING, **kwargs):
        token = {key: kwargs.pop(key) for key in ("user_id", "roles", "groups") if key in kwargs}
        url = service(hub, connection_string).get_client_access_token(**token)["url"]
        # The client misses an ack, or its start, that comes before it begins to
        # wait, which happens on loopback. It goes on when the time is over (30
        # seconds by default) as if it had come then.
        self.sdk = WebPubSubClient(url, ack_timeout=5, start_timeout=5, **kwargs)
        self.connected, self.disconnected, self.group, self.server = [], [], [], []
        self.sdk.subscribe(CallbackType.CONNECTED, self.connected.append)
        self.sdk.subscribe(CallbackType.DISCONNECTED, self.disconnected.append)
        self.sdk.subscribe(CallbackType.GROUP_MESSAGE, self.group.append)
        self.sdk.subscribe(CallbackType.SERVER_MESSAGE, self.server.append)

    def __enter__(self):
        self.sdk.open()
        until(lambda: self.connected, "connected")
        return self

    def __exit__(self, *_):
        self.sdk.close()

    @property
    def id(self):
        return self.connected[-1].connection_id
