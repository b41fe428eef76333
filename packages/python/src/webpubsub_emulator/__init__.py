"""A local Azure Web PubSub for tests.

    with start_emulator() as emulator:
        service = WebPubSubServiceClient.from_connection_string(emulator.connection_string, hub="chat")
        service.send_to_all("hello", content_type="text/plain")
        emulator.wait_idle()
"""

from ._binary import find_binary
from ._control import ControlError, Emulator, InjectedFault
from ._process import start_emulator

__all__ = ["ControlError", "Emulator", "InjectedFault", "find_binary", "start_emulator"]
