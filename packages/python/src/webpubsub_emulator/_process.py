"""Starts and stops the program."""

import atexit
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from typing import Dict, List, Optional

from ._binary import find_binary
from ._control import Emulator


def start_emulator(
    *,
    binary: Optional[str] = None,
    addr: str = "localhost:0",
    hub: Optional[str] = None,
    upstream: Optional[str] = None,
    anonymous: bool = False,
    args: Optional[List[str]] = None,
    env: Optional[Dict[str, str]] = None,
    timeout: float = 20,
) -> Emulator:
    """Start the emulator and return when it listens, by default on a free port.

    hub is the one that upstream (the URL of an event handler) and anonymous are
    about. args are more flags of `webpubsub emulator`.
    """
    folder = tempfile.mkdtemp(prefix="webpubsub-")
    ready = os.path.join(folder, "ready.json")
    command = [find_binary(binary), "emulator", "-addr", addr, "-ready-file", ready]
    if hub:
        command += ["-hub", hub]
    if upstream:
        command += ["-upstream", upstream]
    if anonymous:
        command.append("-anonymous")
    # The token is in the environment: other users of the machine can read arguments.
    environment = {**os.environ, "WEBPUBSUB_CONTROL_TOKEN": secrets.token_urlsafe(24), **(env or {})}
    process = subprocess.Popen(
        command + (args or []), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output: List[str] = []

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            output.append(line.decode(errors="replace"))
            del output[:-200]

    threading.Thread(target=read, daemon=True).start()

    def stop() -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)
        atexit.unregister(stop)

    atexit.register(stop)
    deadline = time.monotonic() + timeout
    while not os.path.exists(ready):
        why = f"it ended with {process.returncode}" if process.poll() is not None else None
        if why is None and time.monotonic() > deadline:
            why = f"nothing within {timeout} s"
        if why:
            stop()
            raise RuntimeError(f"webpubsub_emulator: the emulator did not start: {why}\n{''.join(output)}")
        time.sleep(0.015)
    with open(ready, encoding="utf-8") as file:
        return Emulator(json.load(file), stop)
