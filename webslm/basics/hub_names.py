"""Own how the hub spells what it keeps."""

from __future__ import annotations

import re

REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
"""OWNER/NAME."""
COMMIT = re.compile(r"[0-9a-f]{40}")
"""A full commit; branches and short ones can move."""
