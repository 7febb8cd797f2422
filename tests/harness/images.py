# SPDX-License-Identifier: AGPL-3.0-or-later
"""Images that sandboxes can start in."""
import os
import re
import shutil
import subprocess

from harness.server import COHUB

AGENT = COHUB.parent.parent / "agent" / "cohub-agent"


def add_libraries(image):
    """What the agent needs where it is not static, as a sanitized one, at the same paths in the image."""
    (image / "usr").mkdir(parents=True, exist_ok=True)
    for name in ("lib", "lib64"):
        (image / name).symlink_to(f"usr/{name}")
    told = subprocess.run(["ldd", AGENT], capture_output=True, text=True, check=False).stdout
    for path in re.findall(r"(/\S+) \(0x", told):
        target = image / os.path.realpath(os.path.dirname(path)).lstrip("/") / os.path.basename(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
