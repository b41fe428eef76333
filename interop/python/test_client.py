"""azure-messaging-webpubsubclient: groups, events, recovery."""

import unittest

from azure.messaging.webpubsubclient.models import OpenClientError, SendMessageError
from azure.messaging.webpubsubclient import WebPubSubClient

from support import ALL_ROLES, BEHIND_PROXY, Client, cut, seen, service, until


class Groups(unittest.TestCase):
    def test_publish(self):
        with Client("pygroups", user_id="alice", roles=ALL_ROLES) as alice, Client("pygroups", roles=ALL_ROLES) as bob:
            for c in (alice, bob):
                c.sdk.join_group("g")
            alice.sdk.send_to_group("g", {"n": 1}, "json", no_echo=True)
            alice.sdk.send_to_group("g", "text", "text", no_echo=True)
            alice.sdk.send_to_group("g", memoryview(b"\x01\x02"), "binary")
            until(lambda: len(bob.group) == 3, "three messages")
            self.assertEqual([m.data if i < 2 else bytes(m.data) for i, m in enumerate(bob.group)], [{"n": 1}, "text", b"\x01\x02"])
            self.assertEqual({m.from_user_id for m in bob.group}, {"alice"})
            until(lambda: len(alice.group) == 1, "the echo of the last one")
            bob.sdk.leave_group("g")
            alice.sdk.send_to_group("g", "gone", "text")
            until(lambda: len(alice.group) == 2, "the own message")
            self.assertEqual(len(bob.group), 3)

    def test_forbidden(self):
        with Client("pygroups", message_retry_total=0) as client:
            with self.assertRaises(SendMessageError) as caught:
                client.sdk.join_group("g")
            self.assertEqual(caught.exception.error_detail.name, "Forbidden")


class Events(unittest.TestCase):
    def test_reply(self):
        with Client("events", user_id="py") as client:
            client.sdk.send_event("echo", {"n": 1}, "json")
            self.assertEqual(until(lambda: client.server, "the reply")[0].data, {"n": 1})
            until(lambda: "connected py" in seen(client.id), "the connected event")
        until(lambda: any(e.startswith("disconnected") for e in seen(client.id)), "the disconnected event")

    def test_no_handler(self):
        with Client("pyquiet", message_retry_total=0) as client:
            with self.assertRaises(SendMessageError) as caught:
                client.sdk.send_event("event", "x", "text")
            self.assertEqual(caught.exception.error_detail.name, "InternalServerError")


class Connections(unittest.TestCase):
    def test_wrong_token(self):
        client = WebPubSubClient(service("py").get_client_access_token()["baseUrl"] + "?access_token=wrong", start_timeout=2)
        with self.assertRaises(OpenClientError):
            client.open()

    def test_recovery(self):
        with Client("pyrecovery", BEHIND_PROXY, roles=ALL_ROLES, groups=["g"]) as client:
            first = client.id
            self.assertGreaterEqual(cut(), 1)
            # Said while the client is away, or just before it notices.
            for n in range(20):
                service("pyrecovery").send_to_group("g", {"n": n}, content_type="application/json")
            until(lambda: len(client.group) >= 20, "what was sent meanwhile")
            self.assertEqual([m.data["n"] for m in client.group], list(range(20)))
            self.assertEqual((client.id, len(client.connected)), (first, 1), "it was a new connection")


if __name__ == "__main__":
    unittest.main()
