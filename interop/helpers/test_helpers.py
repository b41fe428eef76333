"""The helper package with pytest and the official SDKs, as a user's tests use them."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from azure.messaging.webpubsubclient import WebPubSubClient, WebPubSubClientCredential
from azure.messaging.webpubsubclient.models import CallbackType
from azure.messaging.webpubsubservice import WebPubSubServiceClient
from webpubsub_emulator import ControlError, find_binary, start_emulator

EVERYTHING = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]


def connect(emulator, user):
    url = lambda: emulator.client_url("chat", user_id=user, roles=EVERYTHING)  # noqa: E731
    # The client waits in vain for what comes before it begins to wait, which on
    # loopback happens, and goes on after its timeouts.
    return WebPubSubClient(WebPubSubClientCredential(url), start_timeout=2, ack_timeout=2)


def test_message_and_journal(webpubsub_emulator):
    got, arrived = [], threading.Event()
    client = connect(webpubsub_emulator, "alice")
    client.subscribe(CallbackType.GROUP_MESSAGE, lambda m: (got.append(m.data), arrived.set()))
    with client:
        client.join_group("news")
        service = WebPubSubServiceClient.from_connection_string(webpubsub_emulator.connection_string, hub="chat")
        service.send_to_group("news", "hello", content_type="text/plain")
        assert arrived.wait(10)
        assert got == ["hello"]
        webpubsub_emulator.wait_idle()
        assert webpubsub_emulator.wait_for(lambda e: e["kind"] == "sent")["receivers"] == 1
        (connection,) = webpubsub_emulator.connections(userId="alice")
        assert webpubsub_emulator.connection("chat", connection["id"])["groups"] == ["news"]


def test_every_test_starts_empty(webpubsub_emulator):
    assert webpubsub_emulator.groups() == []
    assert webpubsub_emulator.users() == []
    assert not [e for e in webpubsub_emulator.journal() if e["kind"] == "sent"]


def test_faults(webpubsub_emulator):
    with webpubsub_emulator.inject("handshake", {"type": "rejectHandshake", "status": 503}, times=1) as fault:
        assert fault.hits == 0
        assert webpubsub_emulator.request("GET", "/faults")["value"][0]["id"] == fault.id
    assert webpubsub_emulator.request("GET", "/faults")["value"] == []
    with pytest.raises(ControlError) as error:
        webpubsub_emulator.inject("nowhere", {"type": "delay"})
    assert error.value.status == 400


def test_network(webpubsub_emulator):
    webpubsub_emulator.set_network(latencyMs=1, bandwidth=1_000_000)
    assert webpubsub_emulator.request("GET", "/network") == {"latencyMs": 1, "jitterMs": 0, "bandwidth": 1_000_000, "handlerLatencyMs": 0}
    webpubsub_emulator.reset()
    assert webpubsub_emulator.request("GET", "/network")["latencyMs"] == 0


class Handler(BaseHTTPRequestHandler):
    def do_OPTIONS(self):
        self.send_response(200)
        self.send_header("WebHook-Allowed-Origin", "*")
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_event_handler(webpubsub_emulator):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        webpubsub_emulator.set_hub("chat", {"eventHandlers": [{"urlTemplate": url, "userEventPattern": "*"}]})
        client = connect(webpubsub_emulator, "alice")
        with client:
            client.send_event("echo", "hi", "text")
        entry = webpubsub_emulator.wait_for(lambda e: e["kind"] == "event" and e["name"] == "echo")
        content = webpubsub_emulator.entry(entry["id"])["content"]
        assert content["upstream"]["responseBody"]["data"] == "hi"
        again = webpubsub_emulator.request("POST", f"/journal/{entry['id']}/replay")
        assert again["status"] == 200
    finally:
        server.shutdown()


def test_errors():
    with pytest.raises(RuntimeError, match="no-such-flag"):
        start_emulator(args=["-no-such-flag"])
    with pytest.raises(FileNotFoundError, match="not a program"):
        find_binary("/no/such/program")
