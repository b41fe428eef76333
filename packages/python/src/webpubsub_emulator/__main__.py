"""Runs the emulator as a command: python -m webpubsub_emulator -addr localhost:8080"""

import os
import subprocess
import sys

from ._binary import find_binary

_COMMANDS = {
    "dev", "emulator", "token", "send", "listen", "client", "tunnel", "check", "health", "completion", "version", "help",
    "--version", "--help", "-h", "-help", "-version",
}


def main() -> int:
    args = sys.argv[1:]
    command = [find_binary(), *(args if args and args[0] in _COMMANDS else ["emulator", *args])]
    if sys.platform == "win32":
        return subprocess.call(command)
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
