"""Where the program is."""

import os
import shutil
import sys
from pathlib import Path
from typing import Optional

_NAME = "webpubsub.exe" if sys.platform == "win32" else "webpubsub"


def find_binary(option: Optional[str] = None) -> str:
    """Return the path of the program: the argument, WEBPUBSUB_EMULATOR_BINARY, the
    one that a platform wheel carries, or webpubsub in the PATH."""
    for path, source in ((option, "binary"), (os.environ.get("WEBPUBSUB_EMULATOR_BINARY"), "WEBPUBSUB_EMULATOR_BINARY")):
        if path:
            if os.access(path, os.X_OK) and Path(path).is_file():
                return path
            raise FileNotFoundError(f"webpubsub_emulator: {source} is {path}, which is not a program")
    carried = Path(__file__).parent / "bin" / _NAME
    if carried.is_file():
        return str(carried)
    found = shutil.which(_NAME)
    if found:
        return found
    raise FileNotFoundError(
        f"webpubsub_emulator: there is no program {_NAME} for this platform: put it in the PATH, "
        "or set WEBPUBSUB_EMULATOR_BINARY to its path"
    )
