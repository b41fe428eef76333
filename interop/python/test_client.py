"""azure-messaging-webpubsubclient: groups, events, recovery, by the synchronous
and the asynchronous client."""

import threading
import unittest
import uuid

from azure.messaging.webpubsubclient.models import CallbackType, OpenClientError, SendMessageError, WebPubSubProtocolType

from blocking import wait
from support import ALL_ROLES, TLS_CONNECTION_STRING, Client, cut, seen, service, until

PROTOCOLS = (WebPubSubProtocolType.JSON, WebPubSubProtocolType.JSON_RELIABLE)


class Common:
    """The tests of each kind of client."""

    def setUp(self):
        self.hub = "py" + uuid.uuid4().hex
        self.service = service(self.hub)

    def client(self, hub=None, **kwargs):
        return Client(hub or self.hub, aio=self.aio, **kwargs)

    def test_start_stop(self):
        """start-stop: opens, closes, opens again, with both protocols"""
        for protocol in PROTOCOLS:
            client = self.client(protocol_type=protocol)
            for times in (1, 2):
                with client:
                    until(lambda: len(client.connected) == times, "connected")
                    self.assertTrue(self.service.connection_exists(client.id))
                until(lambda: len(client.stopped) == times, "stopped")
                until(lambda: not self.service.connection_exists(client.id), "the connection's end")

    def test_twice(self):
        """start-stop: opening twice is refused, closing twice is harmless"""
        with self.client() as client:
            with self.assertRaises(OpenClientError):
                client.sdk.open()
            client.sdk.close()
            client.sdk.close()

    def test_open_again_when_stopped(self):
        """start-stop: opened again by the callback that tells the end"""
        client = self.client(reconnect_retry_total=0)
        reopened = []

        def on_stopped(*_):
            if not reopened:
                reopened.append(True)
                return client.sdk.wrapped.open() if self.aio else client.sdk.open()

        client.on(CallbackType.STOPPED, on_stopped)
        with client:
            first = client.id
            self.service.close_connection(first)
            until(lambda: len(client.connected) == 2, "the second connection")
            self.assertNotEqual(client.id, first)

    def test_call_in_callback(self):
        """start-stop, groups: the client can be called in a callback"""
        client = self.client(roles=ALL_ROLES)

        def on_connected(*_):
            if self.aio:
                return join_and_send(client.sdk.wrapped)
            client.sdk.join_group("g")
            client.sdk.send_to_group("g", "hello", "text")

        async def join_and_send(sdk):
            await sdk.join_group("g")
            await sdk.send_to_group("g", "hello", "text")

        client.on(CallbackType.CONNECTED, on_connected)
        with client:
            until(lambda: client.group, "the message of the callback")
            self.assertEqual((client.group[0].group, client.group[0].data), ("g", "hello"))

    def test_wrong_token(self):
        """start-stop: a wrong token, a wrong address"""
        base = self.service.get_client_access_token()["baseUrl"]
        for url in (base + "?access_token=wrong", "ws://127.0.0.1:1/client/hubs/none"):
            with self.assertRaises(OpenClientError):
                self.client(url=url, start_timeout=2).sdk.open()

    def test_publish(self):
        """publish, groups, no-echo: every data type; who left gets nothing more"""
        for protocol in PROTOCOLS:
            with self.client(user_id="alice", roles=ALL_ROLES, protocol_type=protocol) as alice, \
                    self.client(roles=ALL_ROLES, protocol_type=protocol) as bob:
                for c in (alice, bob):
                    c.sdk.join_group("g")
                alice.sdk.send_to_group("g", {"n": 1}, "json", no_echo=True)
                alice.sdk.send_to_group("g", "text", "text", no_echo=True)
                alice.sdk.send_to_group("g", memoryview(b"\x01\x02"), "binary")
                until(lambda: len(bob.group) == 3, "three messages")
                self.assertEqual(
                    [m.data if i < 2 else bytes(m.data) for i, m in enumerate(bob.group)], [{"n": 1}, "text", b"\x01\x02"])
                self.assertEqual({m.from_user_id for m in bob.group}, {"alice"})
                until(lambda: len(alice.group) == 1, "the echo of the last one")
                bob.sdk.leave_group("g")
                alice.sdk.send_to_group("g", "gone", "text")
                until(lambda: len(alice.group) == 2, "the own message")
                self.assertEqual(len(bob.group), 3)

    def test_concurrent(self):
        """publish: many sends at once, all acknowledged, none lost"""
        with self.client(roles=ALL_ROLES) as client:
            client.sdk.join_group("g")
            errors = []

            def send(n):
                try:
                    client.sdk.send_to_group("g", {"n": n}, "json")
                except Exception as e:  # all of them count
                    errors.append(e)

            threads = [threading.Thread(target=send, args=(n,)) for n in range(50)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(errors, [])
            until(lambda: len(client.group) >= 50, "all messages")
            self.assertEqual(sorted(m.data["n"] for m in client.group), list(range(50)))

    def test_duplicate(self):
        """duplicate: a repeated ack id counts as success and sends nothing"""
        with self.client(roles=ALL_ROLES) as client:
            client.sdk.join_group("g")
            client.sdk.send_to_group("g", "once", "text", ack_id=77)
            client.sdk.send_to_group("g", "twice", "text", ack_id=77)
            client.sdk.send_to_group("g", "last", "text")
            until(lambda: client.group and client.group[-1].data == "last", "the last message")
            self.assertEqual([m.data for m in client.group], ["once", "last"])

    def test_forbidden(self):
        """roles: without them a client may not join or publish"""
        with self.client(roles=["webpubsub.joinLeaveGroup.mine"], message_retry_total=0) as client:
            client.sdk.join_group("mine")
            for call in (lambda: client.sdk.join_group("yours"), lambda: client.sdk.send_to_group("mine", "x", "text")):
                with self.assertRaises(SendMessageError) as caught:
                    call()
                self.assertEqual(caught.exception.error_detail.name, "Forbidden")

    def test_server_messages(self):
        """server-messages: from the service client, of every data type"""
        with self.client() as client:
            self.service.send_to_connection(client.id, {"n": 1})
            self.service.send_to_all("text", content_type="text/plain")
            self.service.send_to_all(b"\x01", content_type="application/octet-stream")
            until(lambda: len(client.server) == 3, "three messages")
            got = [bytes(m.data) if m.data_type == "binary" else m.data for m in client.server]
            self.assertEqual(got, [{"n": 1}, "text", b"\x01"])

    def test_reply(self):
        """events: the handler's reply comes as a message"""
        with self.client(hub="events", user_id="py") as client:
            client.sdk.send_event("echo", {"n": 1}, "json")
            self.assertEqual(until(lambda: client.server, "the reply")[0].data, {"n": 1})
            until(lambda: "connected py" in seen(client.id), "the connected event")
        until(lambda: any(e.startswith("disconnected") for e in seen(client.id)), "the disconnected event")

    def test_no_handler(self):
        """event-errors: an event without handler, and one that is refused"""
        for hub, event in ((self.hub, "event"), ("events", "deny")):
            with self.client(hub=hub, message_retry_total=0) as client:
                with self.assertRaises(SendMessageError) as caught:
                    client.sdk.send_event(event, "x", "text")
                self.assertEqual(caught.exception.error_detail.name, "InternalServerError")

    def test_close_reason(self):
        """close-reason: why the service closed the connection"""
        with self.client(reconnect_retry_total=0) as client:
            self.service.close_connection(client.id, reason="enough")
            until(lambda: client.disconnected, "disconnected")
            self.assertIn("enough", client.disconnected[0].message)
            until(lambda: client.stopped, "stopped")

    def test_recovery_after_close(self):
        """recovery: a socket closed with 1001 is the same connection again"""
        with self.client(roles=ALL_ROLES, groups=["g"]) as client:
            first = client.id
            # The SDK has no call for it. Only the frame is sent, as close() of
            # these sockets would compete with the SDK for the answer.
            socket = (client.sdk.wrapped if self.aio else client.sdk)._ws.sock
            if self.aio:
                wait(socket._writer.close(1001))
            else:
                socket.send_close(1001)
            # Said while the client is away, or just before it notices.
            for n in range(20):
                self.service.send_to_group("g", {"n": n})
            until(lambda: len(client.group) >= 20, "what was sent meanwhile")
            self.assertEqual([m.data["n"] for m in client.group], list(range(20)))
            self.assertEqual((client.id, len(client.connected), client.disconnected), (first, 1, []), "it was a new connection")
            client.sdk.send_to_group("g", {"n": 20}, "json")
            until(lambda: len(client.group) == 21, "the own message")

    def test_tls(self):
        """tls: over wss, as everywhere else"""
        url = service(self.hub, TLS_CONNECTION_STRING).get_client_access_token(roles=ALL_ROLES)["url"]
        self.assertTrue(url.startswith("wss://"), url)
        with self.client(url=url) as client:
            client.sdk.join_group("g")
            client.sdk.send_to_group("g", {"n": 1}, "json")
            self.assertEqual(until(lambda: client.group, "the own message")[0].data, {"n": 1})

    def reconnect(self, **kwargs):
        """Joins a group, loses the network, and returns the client on its next connection."""
        client = self.client(roles=ALL_ROLES, protocol_type=WebPubSubProtocolType.JSON, **kwargs).__enter__()
        self.addCleanup(client.sdk.close)
        client.sdk.join_group("g")
        first = client.id
        self.assertGreaterEqual(cut(), 1)
        until(lambda: len(client.connected) == 2, "the second connection")
        self.assertNotEqual(client.id, first)
        self.assertEqual(client.disconnected[0].connection_id, first)
        return client

    def test_rejoin(self):
        """reconnect: a new connection joins its groups again"""
        client = self.reconnect()
        until(lambda: self.service.group_exists("g"), "the group")
        self.service.send_to_group("g", "hello again", content_type="text/plain")
        until(lambda: client.group, "the message to the group")

    def test_no_rejoin(self):
        """reconnect: it does not where it is told not to"""
        client = self.reconnect(auto_rejoin_groups=False)
        client.sdk.join_group("another")
        self.assertFalse(self.service.group_exists("g"))

    def test_no_reconnect(self):
        """reconnect: nor is there a new connection where that is off"""
        with self.client(reconnect_retry_total=0, protocol_type=WebPubSubProtocolType.JSON) as client:
            self.assertGreaterEqual(cut(), 1)
            until(lambda: client.stopped, "stopped")
            self.assertEqual((len(client.connected), len(client.disconnected)), (1, 1))


class Sync(Common, unittest.TestCase):
    aio = False

    # The asynchronous client takes a lost network for a refusal and does not
    # recover from it.
    def test_recovery_after_cut(self):
        """recovery: after a lost network nothing is lost"""
        with self.client(roles=ALL_ROLES, groups=["g"]) as client:
            first = client.id
            self.assertGreaterEqual(cut(), 1)
            # Said while the client is away, or just before it notices.
            for n in range(20):
                self.service.send_to_group("g", {"n": n})
            until(lambda: len(client.group) >= 20, "what was sent meanwhile")
            self.assertEqual([m.data["n"] for m in client.group], list(range(20)))
            self.assertEqual((client.id, len(client.connected)), (first, 1), "it was a new connection")


class Async(Common, unittest.TestCase):
    aio = True


if __name__ == "__main__":
    unittest.main()
