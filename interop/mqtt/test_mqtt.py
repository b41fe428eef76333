"""Eclipse Paho, of both protocol versions, beside the official service package.

The environment and the Go event handler are those of ../doc.go.
"""

import itertools
import json
import os
import queue
import time
import unittest
import urllib.request
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from azure.messaging.webpubsubservice import WebPubSubServiceClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

LIMIT = 30
ROLES = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
numbers = itertools.count()


def service(hub, setting="WebPubSubConnectionString"):
    return WebPubSubServiceClient.from_connection_string(os.environ[setting], hub=hub)


def new_hub():
    return f"paho_{os.getpid()}_{next(numbers)}"


class Client:
    """A client with what it got in queues."""

    def __init__(self, test, hub, version, token=None, setting="WebPubSubConnectionString", will=None, client_id=None, manual_ack=False, **connect):
        access = service(hub, setting).get_client_access_token(client_protocol="MQTT", **(token or {"roles": ROLES}))
        url = urlsplit(access["url"])
        self.id = client_id or f"paho{os.getpid()}x{next(numbers)}"
        clean = {} if version == paho.MQTTv5 else {"clean_session": connect.pop("clean_session", True)}
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, self.id, protocol=version, transport="websockets", manual_ack=manual_ack, **clean)
        self.paho.ws_set_options(path=f"{url.path}?{url.query}")
        self.paho.reconnect_delay_set(1, 1)
        if will:
            self.paho.will_set(*will)
        self.connects, self.disconnects, self.messages = queue.Queue(), queue.Queue(), queue.Queue()
        self.acks, self.grants = queue.Queue(), queue.Queue()
        self.paho.on_connect = lambda _c, _u, flags, code, _p: self.connects.put((code.value, flags.session_present))
        self.paho.on_disconnect = lambda _c, _u, _f, code, _p: self.disconnects.put(code.value)
        self.paho.on_message = lambda _c, _u, m: self.messages.put(m)
        self.paho.on_publish = lambda _c, _u, _m, code, _p: self.acks.put(code.value)
        self.paho.on_subscribe = lambda _c, _u, _m, codes, _p: self.grants.put([c.value for c in codes])
        self.paho.connect(url.hostname, url.port, **connect)
        self.paho.loop_start()
        test.addCleanup(self.paho.loop_stop)
        test.addCleanup(self.paho.disconnect)
        self.code, self.session_present = self.connects.get(timeout=LIMIT)

    def subscribe(self, *args, **kwargs):
        self.paho.subscribe(*args, **kwargs)
        return self.grants.get(timeout=LIMIT)

    def publish(self, *args, **kwargs):
        self.paho.publish(*args, **kwargs)
        return self.acks.get(timeout=LIMIT)

    def receive(self):
        return self.messages.get(timeout=LIMIT)


def seen(connection, event):
    """Waits until the Go event handler saw the event of the connection."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{os.environ['WEBPUBSUB_HARNESS_URL']}/seen?connection={connection}") as response:
            events = json.load(response)
        if event in events:
            return events
        time.sleep(0.02)
    raise AssertionError(f"{event} is not among {events}")


class BothVersions:
    version = None

    def test_qos(self):
        """mqtt-publish: every QoS, both ways"""
        client = Client(self, new_hub(), self.version)
        self.assertEqual((client.code, client.session_present), (0, False))
        for qos in range(3):
            self.assertEqual(client.subscribe(f"topic{qos}", qos), [qos])
            self.assertEqual(client.publish(f"topic{qos}", f"with {qos}", qos), 0)
            message = client.receive()
            self.assertEqual((message.topic, message.payload, message.qos), (f"topic{qos}", f"with {qos}".encode(), qos))

    def test_refused(self):
        """mqtt-refuse: what the roles do not allow"""
        client = Client(self, new_hub(), self.version, token={"roles": ["webpubsub.joinLeaveGroup.mine"]})
        v5 = self.version == paho.MQTTv5
        self.assertEqual(client.subscribe([("mine", 1), ("other", 1)]), [1, 0x87 if v5 else 0x80])
        self.assertEqual(client.publish("mine", "no role for this", 1), 0x87 if v5 else 0)
        client.paho.publish("mine", "and without an answer to say so", 0)
        client.disconnects.get(timeout=LIMIT)
        client.paho.disconnect()

    def test_will_and_rest(self):
        """mqtt-will, mqtt-service: the service client closes one connection and sends to another"""
        hub = new_hub()
        watcher = Client(self, hub, self.version)
        watcher.subscribe("wills", 1)
        lost = Client(self, hub, self.version, will=("wills", "gone", 1))
        self.assertTrue(service(hub).connection_exists(lost.id))
        service(hub).close_connection(lost.id, reason="enough")
        self.assertEqual(watcher.receive().payload, b"gone")
        service(hub).send_to_group("wills", "text", content_type="text/plain")
        self.assertEqual(watcher.receive().payload, b"text")

    def test_events(self):
        """mqtt-events: they reach the handler, and the answer the client"""
        client = Client(self, "events", self.version, token={"user_id": "ann"})
        seen(client.id, "connected ann")
        client.paho.publish("$webpubsub/server/events/echo", "hello", 2)
        message = client.receive()
        self.assertEqual((message.topic, message.payload, message.qos), ("$webpubsub/server/events/echo/succeeded", b"hello", 2))
        client.paho.publish("$webpubsub/server/events/deny", "x", 1)
        self.assertEqual(client.receive().topic, "$webpubsub/server/events/deny/failed")
        client.paho.disconnect()
        self.assertEqual(seen(client.id, "disconnected"), ["connect", "connected ann", "disconnected"])

    def test_session(self):
        """mqtt-session: it survives a lost connection"""
        hub = new_hub()
        if self.version == paho.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 30
            lasting = {"clean_start": False, "properties": properties}
        else:
            lasting = {"clean_session": False}
        client = Client(self, hub, self.version, setting="WEBPUBSUB_PROXY_CONNECTION_STRING", **lasting)
        client.subscribe("room", 1)
        request = urllib.request.Request(os.environ["WEBPUBSUB_HARNESS_URL"] + "/cut", method="POST")
        with urllib.request.urlopen(request) as response:
            self.assertGreater(json.load(response), 0)
        client.disconnects.get(timeout=LIMIT)
        service(hub).send_to_group("room", "while away", content_type="text/plain")
        self.assertEqual(client.connects.get(timeout=LIMIT), (0, True))
        self.assertEqual(client.receive().payload, b"while away")


class V311(BothVersions, unittest.TestCase):
    version = paho.MQTTv311


class V5(BothVersions, unittest.TestCase):
    version = paho.MQTTv5

    def test_receive_maximum(self):
        """mqtt-session: a client that comes back may take fewer messages at once"""
        hub = new_hub()

        def connect(receive_maximum, client_id=None):
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 30
            properties.ReceiveMaximum = receive_maximum
            return Client(self, hub, self.version, client_id=client_id, manual_ack=True, clean_start=False, properties=properties)

        first = connect(20)
        first.subscribe("room", 1)
        for i in range(10):
            service(hub).send_to_group("room", str(i), content_type="text/plain")
        for i in range(10):
            self.assertEqual(first.receive().payload, str(i).encode())
        first.paho.disconnect()
        first.disconnects.get(timeout=LIMIT)

        second = connect(3, first.id)
        self.assertTrue(second.session_present)
        for i in range(10):
            message = second.receive()
            self.assertEqual(message.payload, str(i).encode())
            if i == 0:
                second.subscribe("other", 1)  # its answer comes behind what was sent before
                self.assertEqual(second.messages.qsize(), 2)
            second.paho.ack(message.mid, message.qos)

    def test_properties(self):
        """mqtt-properties: they travel with events"""
        client = Client(self, "events", self.version)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        properties.CorrelationData = b"id 1"
        client.paho.publish("$webpubsub/server/events/echo", '{"x":1}', 1, properties=properties)
        answer = client.receive().properties
        self.assertEqual(answer.CorrelationData, b"id 1")
        self.assertEqual(answer.ContentType, "application/json; charset=utf-8")
        self.assertIn(("azure-status-code", "200"), answer.UserProperty)
