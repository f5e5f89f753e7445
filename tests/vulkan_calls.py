"""Ask a Vulkan driver for its features and a device, through its own calls; print what it said.

Run in a Python of its own, for drivers read their environment when they are loaded.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any

NUM_FEATURES = 55
INDEXING = range(33, 37)
FEATURES_2 = 1000059000
Features = ctypes.c_uint32 * NUM_FEATURES
WANTED = [int(i == 0 or i in INDEXING) for i in range(NUM_FEATURES)]


class Chained(ctypes.Structure):
    """A link of a chain with features, or with the ids that head a device's properties."""

    _fields_ = (("type", ctypes.c_uint32), ("next", ctypes.c_void_p), ("on", Features))


class DeviceInfo(ctypes.Structure):
    """What vkCreateDevice is asked for."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("words", ctypes.c_uint32 * 2),
        ("queues", ctypes.c_void_p),
        ("names", ctypes.c_uint64 * 4),
        ("features", ctypes.c_void_p),
    )


def address(value: Any) -> int:
    """Return where a value lies."""
    return ctypes.addressof(value)


def functions(library: str) -> Callable[[str], Any]:
    """Return how a driver's functions are found."""
    get = ctypes.CDLL(library).vkGetInstanceProcAddr
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]
    kind = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 4)

    def find(name: str) -> Any:
        found = get(None, name.encode())
        return found and kind(found)

    return find


def listed(find: Callable[[str], Any], what: str, suffix: str) -> list[int]:
    """Return the words that a query of a device fills in."""
    chained = Chained()
    # The older call fills in the structure itself, the newer one what a link holds.
    place = address(chained) + (0 if suffix else Chained.on.offset)
    find(f"vkGetPhysicalDevice{what}{suffix}")(None, place, None, None)
    return list(chained.on)


def main(library: str) -> None:
    """Print what the driver says, as JSON; nothing when it has no instance to give."""
    find = functions(library)
    if find("vkCreateInstance") is None:
        return
    handle = ctypes.c_void_p()
    find("vkCreateInstance")(None, None, address(handle), None)
    seen: dict[str, Any] = {"unknown": find("vkNothing") is None}
    for suffix in ("", "2", "2KHR"):
        on = [i for i, value in enumerate(listed(find, "Features", suffix)) if value]
        seen[f"features{suffix}"] = on
        seen[f"ids{suffix}"] = listed(find, "Properties", suffix)[:4]
    wanted = Features(*WANTED)
    plain = DeviceInfo(features=address(wanted))
    seen["plain"] = find("vkCreateDevice")(None, address(plain), None, None)
    last = Chained(type=FEATURES_2, on=wanted)
    first = Chained(type=7, next=address(last))
    chain = DeviceInfo(next=address(first))
    seen["chain"] = find("vkCreateDevice")(None, address(chain), None, None)
    seen["asked as before"] = list(last.on) == list(wanted) == WANTED
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
