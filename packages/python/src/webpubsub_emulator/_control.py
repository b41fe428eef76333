"""The client of the control API. It needs the standard library only."""

import json
import socket
import time
import urllib.error
import urllib.request
from typing import Any, Callable, Dict, Iterator, List, Optional
from urllib.parse import quote, urlencode


class ControlError(Exception):
    """An error response of the control API."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _segment(name: str) -> str:
    return quote(name, safe="")


class InjectedFault:
    """A fault in force. Use it as a context manager to remove it at the end."""

    def __init__(self, emulator: "Emulator", fault_id: int) -> None:
        self._emulator = emulator
        self.id = fault_id

    @property
    def hits(self) -> int:
        """How often the fault has been applied."""
        return self._emulator.request("GET", f"/faults/{self.id}")["hits"]

    def remove(self) -> None:
        self._emulator.request("DELETE", f"/faults/{self.id}")

    def __enter__(self) -> "InjectedFault":
        return self

    def __exit__(self, *_: Any) -> None:
        self.remove()


class Emulator:
    """A running emulator. Its methods are those of the control API."""

    def __init__(self, ready: Dict[str, Any], stop: Optional[Callable[[], None]] = None) -> None:
        self.url: str = ready["url"]
        self.connection_string: str = ready["connectionString"]
        self.control_url: str = ready["controlUrl"]
        self.pid: int = ready.get("pid", 0)
        self.version: str = ready.get("version", "")
        self._token: str = ready["controlToken"]
        self._stop = stop

    def __enter__(self) -> "Emulator":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """End the emulator that start_emulator started."""
        if self._stop:
            self._stop()

    def _open(self, method: str, path: str, body: Any = None, timeout: float = 60, **headers: str) -> Any:
        url = path if path.startswith("http") else self.control_url + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        request.add_header("Authorization", "Bearer " + self._token)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name, value)
        # A proxy of the environment does not lead to this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            return opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as err:
            try:
                error = json.load(err)["error"]
            except (ValueError, KeyError):
                error = {}
            raise ControlError(err.code, error.get("code", ""), error.get("message", f"{method} {path}: {err.code}")) from None

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Call any operation of the control API and return its JSON."""
        with self._open(method, path, body) as response:
            text = response.read()
        return json.loads(text) if text else None

    def _list(self, path: str, query: Dict[str, Any]) -> List[Dict[str, Any]]:
        given = {k: str(v).lower() if isinstance(v, bool) else v for k, v in query.items() if v is not None}
        next_link: Optional[str] = path + ("?" + urlencode(given) if given else "")
        found: List[Dict[str, Any]] = []
        while next_link:
            page = self.request("GET", next_link)
            found += page["value"]
            next_link = page.get("nextLink")
        return found

    def info(self) -> Dict[str, Any]:
        return self.request("GET", "/info")

    def hubs(self) -> List[Dict[str, Any]]:
        return self._list("/hubs", {})

    def connections(self, **query: Any) -> List[Dict[str, Any]]:
        """Return connections: hub, userId, group, protocol, state and search filter them."""
        return self._list("/connections", query)

    def groups(self, **query: Any) -> List[Dict[str, Any]]:
        return self._list("/groups", query)

    def users(self, **query: Any) -> List[Dict[str, Any]]:
        return self._list("/users", query)

    def connection(self, hub: str, connection_id: str) -> Dict[str, Any]:
        return self.request("GET", f"/hubs/{_segment(hub)}/connections/{_segment(connection_id)}")

    def set_hub(self, hub: str, settings: Dict[str, Any]) -> Dict[str, Any]:
        return self.request("PUT", f"/hubs/{_segment(hub)}/settings", settings)

    def client_url(
        self,
        hub: str,
        user_id: Optional[str] = None,
        roles: Optional[List[str]] = None,
        groups: Optional[List[str]] = None,
        minutes: Optional[int] = None,
    ) -> str:
        """Return a client access URL with a token."""
        body = {"hub": hub, "userId": user_id, "roles": roles, "groups": groups, "minutes": minutes}
        return self.request("POST", "/tokens", {k: v for k, v in body.items() if v is not None})["url"]

    def send(
        self,
        hub: str,
        data: Any,
        *,
        data_type: Optional[str] = None,
        group: Optional[str] = None,
        user_id: Optional[str] = None,
        connection_id: Optional[str] = None,
    ) -> int:
        """Send as the application server, and return the number of receivers."""
        target = ""
        for kind, name in (("groups", group), ("users", user_id), ("connections", connection_id)):
            if name is not None:
                target = f"/{kind}/{_segment(name)}"
        body = {"data": data} if data_type is None else {"data": data, "dataType": data_type}
        return self.request("POST", f"/hubs/{_segment(hub)}{target}/send", body)["receivers"]

    def close_connection(self, hub: str, connection_id: str, **options: Any) -> None:
        self.request("POST", f"/hubs/{_segment(hub)}/connections/{_segment(connection_id)}/close", options)

    def reset_connection(self, hub: str, connection_id: str) -> None:
        """Reset the network connection of a client, as a failing network does."""
        self.request("POST", f"/hubs/{_segment(hub)}/connections/{_segment(connection_id)}/reset", {})

    def inject(self, at: str, action: Dict[str, Any], **where: Any) -> InjectedFault:
        """Apply a fault, for example inject("send", {"type": "delay", "delayMs": 500})."""
        fault = self.request("POST", "/faults", {"at": at, "action": action, **where})
        return InjectedFault(self, fault["id"])

    def set_network(self, **conditions: float) -> Dict[str, float]:
        """Simulate network conditions until the next call or reset, for example set_network(latencyMs=100).

        They are latencyMs, jitterMs, bandwidth (bytes per second) and handlerLatencyMs.
        """
        return self.request("PUT", "/network", conditions)

    def journal(self, **query: Any) -> List[Dict[str, Any]]:
        return self._list("/journal", query)

    def entry(self, entry_id: int) -> Dict[str, Any]:
        """Return one entry with its request, response, frame and message."""
        return self.request("GET", f"/journal/{entry_id}")

    def entries(self, timeout: float = 60) -> Iterator[Dict[str, Any]]:
        """Yield journal entries, those that are kept first, until nothing comes for timeout seconds."""
        with self._open("GET", "/journal", timeout=timeout, Accept="text/event-stream") as response:
            event, data = "", ""
            for raw in response:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: "):
                    data += line[6:]
                elif not line:
                    if event == "entry":
                        yield json.loads(data)
                    event, data = "", ""

    def wait_for(self, match: Callable[[Dict[str, Any]], bool], timeout: float = 10) -> Dict[str, Any]:
        """Return the first entry that matches, among those that are kept or to come."""
        deadline = time.monotonic() + timeout
        try:
            for entry in self.entries(timeout=timeout):
                if match(entry):
                    return entry
                if time.monotonic() > deadline:
                    break
        except (socket.timeout, TimeoutError):
            pass
        raise TimeoutError(f"webpubsub_emulator: no such journal entry within {timeout} s")

    def wait_idle(self, timeout: float = 10) -> None:
        """Return when no event, send or delivery is in progress."""
        self.request("POST", f"/idle?timeout={timeout}")

    def reset(self) -> None:
        """End all connections and remove groups, permissions, faults and journal."""
        self.request("POST", "/reset")
