"""azure-messaging-webpubsubservice: every call, with every parameter."""

import unittest

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from support import ALL_ROLES, Client, service, until


class Absent(unittest.TestCase):
    """What nobody has: idempotent calls succeed, questions are answered no."""

    def setUp(self):
        self.service = service("absent")

    def test_exists(self):
        self.assertFalse(self.service.connection_exists("nobody"))
        self.assertFalse(self.service.user_exists("no body"))
        self.assertFalse(self.service.group_exists("no group"))
        self.assertFalse(self.service.has_permission("sendToGroup", "nobody", target_name="g"))

    def test_not_found(self):
        for call in (
            lambda: self.service.add_connection_to_group("g", "nobody"),
            lambda: self.service.add_user_to_group("g", "nobody"),
            lambda: self.service.grant_permission("sendToGroup", "nobody", target_name="g"),
        ):
            with self.assertRaises(ResourceNotFoundError):
                call()

    def test_no_error(self):
        self.service.revoke_permission("joinLeaveGroup", "nobody", target_name="g")
        self.service.remove_connection_from_group("g", "nobody")
        self.service.remove_connection_from_all_groups("no body")
        self.service.remove_user_from_group("g", "nobody")
        self.service.remove_user_from_all_groups("no body")
        self.service.close_connection("nobody", reason="because")
        self.service.close_user_connections("nobody", excluded=["a", "b"], reason="because")
        self.service.close_group_connections("nobody", excluded=["a"])
        self.service.close_all_connections(excluded=["a"], reason="because")
        self.service.send_to_connection("nobody", "hi", content_type="text/plain")
        self.service.send_to_user("nobody", {"a": 1})
        self.service.send_to_group("nobody", b"\x01", content_type="application/octet-stream")
        self.assertEqual(list(self.service.list_connections(group="nobody")), [])

    def test_bad_filter(self):
        with self.assertRaises(HttpResponseError) as caught:
            self.service.send_to_all("hi", content_type="text/plain", filter="invalid filter")
        self.assertEqual(caught.exception.status_code, 400)
        self.assertIn("Syntax error at position 14 in 'invalid filter'", str(caught.exception))


class Present(unittest.TestCase):
    """One client and everything that can be done to it."""

    def setUp(self):
        self.service = service("present")

    def test_sends(self):
        payloads = (
            ({"a": 1}, "application/json", {"a": 1}),
            ("text", "text/plain", "text"),
            (b"\x01\x02", "application/octet-stream", b"\x01\x02"),
        )
        with Client("present", user_id="alice", groups=["g"]) as client:
            sends = (
                ("server", lambda m, t: self.service.send_to_all(m, content_type=t, excluded=["x"], filter="userId eq 'alice'")),
                ("server", lambda m, t: self.service.send_to_user("alice", m, content_type=t, filter="'g' in groups")),
                ("server", lambda m, t: self.service.send_to_connection(client.id, m, content_type=t)),
                ("group", lambda m, t: self.service.send_to_group("g", m, content_type=t, excluded=["x"], filter="userId ne null")),
            )
            for source, send in sends:
                inbox = getattr(client, source)
                for message, content_type, want in payloads:
                    before = len(inbox)
                    send(message, content_type)
                    got = until(lambda: inbox[before:], f"{content_type} from {source}")[0].data
                    self.assertEqual(bytes(got) if isinstance(want, bytes) else got, want)
            self.service.send_to_all("not for alice", content_type="text/plain", excluded=[client.id])
            self.service.send_to_all("nor this", content_type="text/plain", filter="userId ne 'alice'")
            self.service.send_to_all("but this", content_type="text/plain")
            until(lambda: client.server[-1].data == "but this", "the last message")
            self.assertEqual(len(client.server), 10)

    def test_groups_and_permissions(self):
        with Client("present", user_id="bob") as client:
            self.assertTrue(self.service.connection_exists(client.id))
            self.assertTrue(self.service.user_exists("bob"))
            self.service.add_connection_to_group("g1", client.id)
            self.service.add_user_to_group("g2", "bob")
            self.assertTrue(self.service.group_exists("g1"))
            (member,) = self.service.list_connections(group="g2", top=20)
            self.assertEqual((member.connection_id, member.user_id), (client.id, "bob"))
            self.service.remove_connection_from_group("g1", client.id)
            self.assertFalse(self.service.group_exists("g1"))
            self.service.remove_user_from_group("g2", "bob")
            self.assertFalse(self.service.group_exists("g2"))
            for remove in (
                lambda: self.service.remove_user_from_all_groups("bob"),
                lambda: self.service.remove_connection_from_all_groups(client.id),
            ):
                self.service.add_connection_to_group("g1", client.id)
                remove()
                self.assertFalse(self.service.group_exists("g1"))

            for permission in ("joinLeaveGroup", "sendToGroup"):
                self.assertFalse(self.service.has_permission(permission, client.id, target_name="g"))
                self.service.grant_permission(permission, client.id, target_name="g")
                self.assertTrue(self.service.has_permission(permission, client.id, target_name="g"))
            client.sdk.join_group("g")
            client.sdk.send_to_group("g", "hello", "text")
            until(lambda: client.group, "the own message")
            self.service.revoke_permission("sendToGroup", client.id, target_name="g")
            self.assertFalse(self.service.has_permission("sendToGroup", client.id, target_name="g"))

    def test_closes(self):
        closes = (
            lambda c: self.service.close_connection(c.id, reason="enough"),
            lambda c: self.service.close_user_connections("carol", reason="enough"),
            lambda c: self.service.close_group_connections("closing", reason="enough"),
            lambda c: self.service.close_all_connections(reason="enough", excluded=["x"]),
        )
        for close in closes:
            with Client("closes", user_id="carol", groups=["closing"], reconnect_retry_total=0) as client:
                self.service = service("closes")
                close(client)
                until(lambda: client.disconnected, "disconnected")
                self.assertIn("enough", client.disconnected[0].message)
                self.assertFalse(self.service.connection_exists(client.id))

    def test_paging(self):
        clients = [Client("paging", groups=["g"]).__enter__() for _ in range(5)]
        try:
            pages = [list(p) for p in service("paging").list_connections(group="g", top=4).by_page()]
            self.assertEqual(sum(map(len, pages)), 4)
            everybody = {m.connection_id for m in service("paging").list_connections(group="g")}
            self.assertEqual(everybody, {c.id for c in clients})
        finally:
            for c in clients:
                c.sdk.close()

    def test_roles_of_a_token(self):
        with Client("present", roles=ALL_ROLES) as client:
            client.sdk.join_group("anything")
            client.sdk.leave_group("anything")


if __name__ == "__main__":
    unittest.main()
