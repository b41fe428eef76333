"""Gives a wheel that carries the program the tag of its platform.

The folder src/webpubsub_emulator/bin then has the program: go run ./internal/packages.
"""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PlatformWheel(BuildHookInterface):
    def initialize(self, version, build_data):
        platform = os.environ.get("WEBPUBSUB_WHEEL_PLATFORM")
        if platform:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform}"
