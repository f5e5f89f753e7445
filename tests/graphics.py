"""Which tests need what of this machine's graphics."""

from __future__ import annotations

import pytest

from webslm.proof.graphics.choice import INSTALL
from webslm.proof.graphics.driver import find_driver

needs_float16 = pytest.mark.skipif(
    find_driver() is None, reason=f"no lavapipe here, which has float16: {INSTALL}"
)
