from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webslm.basics.keys import stage_key
from webslm.engine.store.artifacts import Cache

LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
TREE = st.recursive(
    LEAF, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)
CONFIG = st.dictionaries(st.text(min_size=1), TREE, min_size=1)


def reversed_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_order(value[key]) for key in reversed(list(value))}
    if isinstance(value, list):
        return [reversed_order(item) for item in value]
    return value


def key(config: Any) -> str:
    return stage_key(stage="s", sources="0", config=config, inputs={}, files={}, wheels={})


@given(CONFIG)
def test_key_ignores_the_order_of_dicts(config: dict[str, Any]) -> None:
    assert key(config) == key(reversed_order(config))


def frozen(value: Any) -> tuple[str, object]:
    """Return what is equal exactly for equal trees; no text takes part, so none can be ambiguous.

    To a configuration 1, 1.0 and true are three values, and 0.0 is not -0.0.
    """
    if isinstance(value, dict):
        return "dict", frozenset((name, frozen(item)) for name, item in value.items())
    if isinstance(value, list):
        return "list", tuple(frozen(item) for item in value)
    return type(value).__name__, value.hex() if isinstance(value, float) else value


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, index) of everything below a tree."""
    for at in value if isinstance(value, dict) else range(len(value)):
        yield value, at
        if isinstance(value[at], dict | list):
            yield from places(value[at])


@given(CONFIG, st.data())
def test_key_changes_with_any_leaf(config: dict[str, Any], data: st.DataObject) -> None:
    other = copy.deepcopy(config)
    container, at = data.draw(st.sampled_from(list(places(other))))
    container[at] = data.draw(TREE)
    assert (key(other) == key(config)) is (frozen(other) == frozen(config))


@given(CONFIG, CONFIG)
def test_keys_agree_where_configurations_do(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert (key(one) == key(two)) is (frozen(one) == frozen(two))


@pytest.mark.parametrize(
    ("one", "two"), [(1, 1.0), (1, True), (0, False), (0.0, -0.0), ("1", 1), ("null", None)]
)
def test_values_that_python_takes_for_equal_or_prints_alike_have_keys_of_their_own(
    one: object, two: object
) -> None:
    assert key({"a": one}) != key({"a": two})


@settings(max_examples=25)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(), min_size=1))
def test_committed_files_come_back_byte_for_byte(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as root:
        cache = Cache(Path(root))
        work = cache.work_dir("s")
        (work / "files").mkdir()
        for name, content in files.items():
            (work / "files" / name).write_bytes(content)
        cache.commit(work, stage="s", key="f" * 64, metrics={}, seconds=0.0, peak_rss_bytes=0)
        found = cache.lookup("s", "f" * 64)
        assert found is not None
        assert {path.name: path.read_bytes() for path in found.path.iterdir()} == files
