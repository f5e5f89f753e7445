from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from webslm.basics.keys import canonical_json, stage_key
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


@given(CONFIG, st.data())
def test_key_changes_with_any_leaf(config: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(config)))
    other = copy.deepcopy(config)
    other[name] = data.draw(TREE)
    same = canonical_json(other) == canonical_json(config)
    assert (key(other) == key(config)) is same


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
