"""As if the package were installed: its plugin is loaded from the tree."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "packages" / "python" / "src"))
pytest_plugins = ["webpubsub_emulator.pytest_plugin"]
