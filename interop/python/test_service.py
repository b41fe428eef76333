"""azure-messaging-webpubsubservice: every call with every parameter, by the
synchronous and the asynchronous client, over http and https, with a key and with
a token credential."""

import base64
import json
import unittest
import uuid

from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.messaging.webpubsubservice import WebPubSubServiceClient

from support import (
    ALL_ROLES, BEHIND_PROXY, CONNECTION_STRING, REVERSE_PROXY, TLS_CONNECTION_STRING, Client, endpoint, entra_service, service, until,
)

PAYLOADS = (
    ({"a": 1}, "application/json", {"a": 1}),
    ("text", "text/plain", "text"),
    (b"\x01\x02", "application/octet-stream", b"\x01\x02"),
)


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Common:
    """The tests of each kind of service client."""

    connection_string = BEHIND_PROXY

    def setUp(self):
        self.hub = "py" + uuid.uuid4().hex
        self.service = self.make(self.hub)

    def client(self, **kwargs):
        token = {key: kwargs.pop(key) for key in ("user_id", "roles", "groups") if key in kwargs}
        return Client(self.hub, url=self.service.get_client_access_token(**token)["url"], **kwargs)

    def test_exists(self):
        """exists: nobody is there"""
        self.assertFalse(self.service.connection_exists("nobody"))
        self.assertFalse(self.service.user_exists("no body"))
        self.assertFalse(self.service.group_exists("no group"))
        self.assertFalse(self.service.has_permission("sendToGroup", "nobody", target_name="g"))

    def test_not_found(self):
        """errors, permissions, group-members: what is not there is not found"""
        for call in (
            lambda: self.service.add_connection_to_group("g", "nobody"),
            lambda: self.service.add_user_to_group("g", "nobody"),
            lambda: self.service.grant_permission("sendToGroup", "nobody", target_name="g"),
        ):
            with self.assertRaises(ResourceNotFoundError):
                call()

    def test_no_error(self):
        """group-members, permissions, close: what removes needs nobody there"""
        self.service.revoke_permission("joinLeaveGroup", "nobody", target_name="g")
        self.service.remove_connection_from_group("g", "nobody")
        self.service.remove_connection_from_all_groups("no body")
        self.service.remove_user_from_group("g", "nobody")
        self.service.remove_user_from_all_groups("no body")
        self.service.close_connection("nobody", reason="because")
        self.service.close_user_connections("nobody", excluded=["a", "b"], reason="because")
        self.service.close_group_connections("nobody", excluded=["a"], reason="because")
        self.service.close_all_connections(excluded=["a", "b"], reason="because")
        self.service.send_to_connection("nobody", "hi", content_type="text/plain")
        self.service.send_to_user("nobody", {"a": 1})
        self.service.send_to_group("nobody", b"\x01", content_type="application/octet-stream")
        self.assertEqual(list(self.service.list_connections(group="nobody")), [])

    def test_bad_filter(self):
        """filter, errors: a bad filter is refused with the service's words"""
        with self.assertRaises(HttpResponseError) as caught:
            self.service.send_to_all("hi", content_type="text/plain", filter="invalid filter")
        self.assertEqual(caught.exception.status_code, 400)
        self.assertIn("Syntax error at position 14 in 'invalid filter'", str(caught.exception))

    def test_send_request(self):
        """send-all: a request of one's own goes through the same pipeline"""
        request = HttpRequest("POST", f"/api/hubs/{self.hub}/:send?api-version=2024-01-01", json={"hello": "world"})
        response = self.service.send_request(request)
        self.assertEqual(response.status_code, 202)

    def test_token(self):
        """token, token-protocols: addresses, claims and headers"""
        address = endpoint(self.connection_string)
        for protocol, path in (("Default", "/client"), ("MQTT", "/clients/mqtt"), ("SocketIO", "/clients/socketio")):
            token = self.service.get_client_access_token(
                client_protocol=protocol, user_id="alice", roles=ALL_ROLES, groups=["g"], minutes_to_expire=5,
            )
            self.assertEqual(set(token), {"baseUrl", "token", "url"})
            self.assertEqual(token["baseUrl"], f"ws{address[4:]}{path}/hubs/{self.hub}")
            self.assertEqual(token["url"], f"{token['baseUrl']}?access_token={token['token']}")
            got = claims(token["token"])
            self.assertEqual((got["sub"], got["role"], got["webpubsub.group"]), ("alice", ALL_ROLES, ["g"]))
            self.assertEqual(got["aud"], f"{address}{path}/hubs/{self.hub}")

    def test_paging(self):
        """group-list: in pages, with a limit"""
        clients = [self.client(groups=["g"]).__enter__() for _ in range(5)]
        try:
            pages = [list(page) for page in self.service.list_connections(group="g", top=4).by_page()]
            self.assertEqual(sum(map(len, pages)), 4)
            everybody = {member["connectionId"] if isinstance(member, dict) else member.connection_id
                         for member in self.service.list_connections(group="g")}
            self.assertEqual(everybody, {c.id for c in clients})
        finally:
            for c in clients:
                c.sdk.close()

    def test_all_apis_and_parameters(self):
        """send-all, send-group, send-user, send-connection, filter, excluded, expiry, exists, group-members, group-list, permissions: one long scenario"""
        with self.client(user_id="alice", roles=["webpubsub.sendToGroup.first"], groups=["first"]) as client:
            self.exists(client)
            self.sends(client)
            self.members(client)
            self.permissions(client)

    def exists(self, client):
        members = until(lambda: list(self.service.list_connections(group="first", top=20)), "the member")
        self.assertEqual(len(members), 1)
        self.assertTrue(self.service.connection_exists(client.id))
        self.assertTrue(self.service.user_exists("alice"))
        self.assertTrue(self.service.group_exists("first"))

    def sends(self, client):
        ttl = {"params": {"messageTtlSeconds": "60"}}  # this release has no keyword for it
        sends = (
            ("server", lambda m, t: self.service.send_to_all(m, content_type=t, excluded=["x"], filter="userId eq 'alice'", **ttl)),
            ("server", lambda m, t: self.service.send_to_user("alice", m, content_type=t, filter="'first' in groups", **ttl)),
            ("server", lambda m, t: self.service.send_to_connection(client.id, m, content_type=t, **ttl)),
            ("group", lambda m, t: self.service.send_to_group("first", m, content_type=t, excluded=["x"], filter="userId ne null", **ttl)),
        )
        for source, send in sends:
            inbox = getattr(client, source)
            for message, content_type, want in PAYLOADS:
                before = len(inbox)
                send(message, content_type)
                got = until(lambda: inbox[before:], f"{content_type} from {source}")[0].data
                self.assertEqual(bytes(got) if isinstance(want, bytes) else got, want)
        self.service.send_to_all("not for alice", content_type="text/plain", excluded=[client.id])
        self.service.send_to_all("nor this", content_type="text/plain", filter="userId ne 'alice'")
        self.service.send_to_all("but this", content_type="text/plain")
        until(lambda: client.server[-1].data == "but this", "the last message")
        self.assertEqual(len(client.server), 10)

    def members(self, client):
        for add in (
            lambda: self.service.add_connection_to_group("g", client.id),
            lambda: self.service.add_user_to_group("g", "alice"),
        ):
            for remove in (
                lambda: self.service.remove_connection_from_group("g", client.id),
                lambda: self.service.remove_user_from_group("g", "alice"),
                lambda: self.service.remove_user_from_all_groups("alice"),
                lambda: self.service.remove_connection_from_all_groups(client.id),
            ):
                add()
                self.assertEqual(len(list(self.service.list_connections(group="g"))), 1)
                remove()
                self.assertFalse(self.service.group_exists("g"))

    def permissions(self, client):
        for permission in ("joinLeaveGroup", "sendToGroup"):
            self.assertFalse(self.service.has_permission(permission, client.id, target_name="granted"))
            self.service.grant_permission(permission, client.id, target_name="granted")
            self.assertTrue(self.service.has_permission(permission, client.id, target_name="granted"))
            self.service.revoke_permission(permission, client.id, target_name="granted")
            self.assertFalse(self.service.has_permission(permission, client.id, target_name="granted"))

    def test_closes(self):
        """close: a group's, a user's, one and all connections, with a reason"""
        for close in (
            lambda c: self.service.close_group_connections("g", reason="enough"),
            lambda c: self.service.close_user_connections("carol", reason="enough"),
            lambda c: self.service.close_connection(c.id, reason="enough"),
            lambda c: self.service.close_all_connections(reason="enough", excluded=["x"]),
        ):
            with self.client(user_id="carol", groups=["g"], reconnect_retry_total=0) as client:
                close(client)
                until(lambda: client.disconnected, "disconnected")
                self.assertIn("enough", client.disconnected[0].message)
                until(lambda: not self.service.connection_exists(client.id), "the connection's end")


class Sync(Common, unittest.TestCase):
    def make(self, hub):
        return service(hub, BEHIND_PROXY)

    def test_custom_header(self):
        """token: a header of one's own is tolerated"""
        url = self.service.get_client_access_token(jwt_headers={"kid": "a key"}, user_id="alice")["url"]
        with Client(self.hub, url=url) as client:
            self.assertEqual(client.connected[0].user_id, "alice")

    def test_key(self):
        """key: a key credential is accepted, a wrong key refused"""
        key = CONNECTION_STRING.split("AccessKey=")[1].split(";")[0]
        address = endpoint(CONNECTION_STRING)
        WebPubSubServiceClient(address, self.hub, AzureKeyCredential(key)).send_to_all({"hello": "world"})
        with self.assertRaises(ClientAuthenticationError):
            WebPubSubServiceClient(address, self.hub, AzureKeyCredential("X" + key)).send_to_all({"hello": "world"})

    def test_reverse_proxy(self):
        """reverse-proxy: requests go to the proxy, tokens are for the endpoint"""
        nowhere = CONNECTION_STRING.replace(endpoint(CONNECTION_STRING), "http://webpubsub.invalid")
        for aio in (False, True):
            proxied = service(self.hub, nowhere, aio, reverse_proxy_endpoint=REVERSE_PROXY)
            proxied.send_to_all({"hello": "world"})
            self.assertFalse(proxied.user_exists("nobody"))


class Async(Common, unittest.TestCase):
    def make(self, hub):
        return service(hub, BEHIND_PROXY, aio=True)


class AsyncTLS(Common, unittest.TestCase):
    connection_string = TLS_CONNECTION_STRING

    def make(self, hub):
        return service(hub, TLS_CONNECTION_STRING, aio=True)


class SyncEntra(Common, unittest.TestCase):
    proves = ("entra",)
    connection_string = TLS_CONNECTION_STRING

    def make(self, hub):
        return entra_service(hub)

    def test_async(self):
        """send-all: the asynchronous client too"""
        entra_service(self.hub, aio=True).send_to_all({"hello": "world"})


if __name__ == "__main__":
    unittest.main()
