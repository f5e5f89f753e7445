from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from webslm.basics.keys import canonical_json, file_digest, plain, stage_key, tree_digest, without


class Colour(Enum):
    red = "r"


@dataclass
class Leaf:
    colour: Colour
    sizes: tuple[int, ...]


def key(**changes: object) -> str:
    parts: dict[str, object] = {
        "stage": "convert",
        "sources": "0" * 64,
        "config": {"bits": 4, "group_size": 32},
        "inputs": {"merge": "a" * 64},
        "files": {},
        "wheels": {"torch": "2.13.0"},
    }
    parts.update(changes)
    return stage_key(**parts)  # type: ignore[arg-type]


def test_stage_key_is_the_pinned_one() -> None:
    # A change here means that every stored artifact of every user is built again.
    assert key() == "5ec87498c2f3c4c0ba722600c1ce9dd41e2c70e5755e2dcb456f3dc4a15f20b1"


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "merge"},
        {"sources": "1" * 64},
        {"config": {"bits": 0, "group_size": 32}},
        {"inputs": {"merge": "b" * 64}},
        {"files": {"data.path.0": "c" * 64}},
        {"wheels": {"torch": "2.14.0"}},
    ],
)
def test_stage_key_changes_with_every_part(change: dict[str, object]) -> None:
    assert key(**change) != key()


def test_plain_spells_enums_by_name_and_tuples_as_lists() -> None:
    assert plain(Leaf(Colour.red, (1, 2))) == {"colour": "red", "sizes": [1, 2]}


def test_canonical_json_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})


def test_without_removes_named_leaves_only() -> None:
    payload = {"data": {"path": "/home/me/x", "seed": 1}, "n": 2}
    assert without(payload, ["data.path"]) == {"data": {"seed": 1}, "n": 2}
    assert payload["data"] == {"path": "/home/me/x", "seed": 1}


def test_tree_digest_depends_on_names_and_bytes_not_on_place(tmp_path: Path) -> None:
    for root in ("a", "b"):
        folder = tmp_path / root / "src"
        folder.mkdir(parents=True)
        (folder / "x.py").write_text("1")
    first = tree_digest([tmp_path / "a" / "src"])
    assert first == tree_digest([tmp_path / "b" / "src"])
    (tmp_path / "b" / "src" / "x.py").write_text("2")
    assert first != tree_digest([tmp_path / "b" / "src"])


def test_file_digest_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    assert file_digest(path).startswith("ba7816bf8f01cfea")
