"""Hosts' limits: refused before work where the shape already says so, and at the bundle."""

from __future__ import annotations

import pytest

from webslm.bundle import hosting
from webslm.config.compose import compose
from webslm.engine.table import STAGES
from webslm.schema import Config, ConvertStageConf, HostConf


def config(*words: str) -> Config:
    return compose(list(words))


@pytest.mark.parametrize("host", ["static", "git_pages", "hub", "object_store"])
def test_every_host_takes_the_default_build(host: str) -> None:
    cfg = config(f"host={host}")
    assert list(hosting.problems(cfg)) == []
    assert hosting.shard_bytes(cfg.host) == cfg.host.shard_bytes


def test_a_tensor_too_large_for_the_host_is_refused_before_any_work() -> None:
    words = ("base=qwen2_5_0_5b", "host=git_pages")
    assert list(hosting.problems(config(*words, "quant=q4f16_1"))) == []
    found = list(hosting.problems(config(*words, "quant=q0f32")))
    assert "the largest tensor takes 544538624 bytes" in found[0][0]
    assert found[0][1] is not None
    assert "host=hub" in found[0][1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("host.shard_bytes=1000", "host.shard_bytes: 1000 is too small"),
        ("host.max_file_bytes=0", "host.max_file_bytes: 0 is not above 0"),
        ("host.url=example.org", "host.url: 'example.org' is not the address"),
        ("host.url='https://example.org/?a'", "host.url: 'https://example.org/?a' is not"),
        ("host.max_site_bytes=-5", "host.max_site_bytes: -5 is not above 0"),
    ],
)
def test_impossible_limits_are_named(words: str, said: str) -> None:
    assert next(text for text, _ in hosting.problems(config(words))).startswith(said)


def test_the_hosts_limit_decides_where_shards_end() -> None:
    cfg = config("host.max_file_bytes=9000000")
    convert = next(spec for spec in STAGES if spec.name == "convert").configure(cfg)
    assert isinstance(convert, ConvertStageConf)
    assert convert.shard_bytes == 9_000_000


def test_a_site_that_is_too_large_is_named() -> None:
    host = HostConf(name="small", max_file_bytes=100, max_site_bytes=250)
    files = {name: {"bytes": 100} for name in "ab"}
    assert hosting.too_large(host, files) is None
    assert hosting.too_large(host, {**files, "c": {"bytes": 51}}) == (
        "the site has 251 bytes, small allows 250"
    )
    assert hosting.too_large(host, {**files, "c": {"bytes": 101}}) == (
        "c has 101 bytes, small allows 100 in a file"
    )


def test_three_bits_take_what_the_shards_hold() -> None:
    """A word of 32 bits holds ten codes of three: more than 3 bits a weight, and the scales."""
    shape = "base.shape"
    words = (
        *("base=tiny", "quant=q3f32_1", "host=git_pages", f"{shape}.vocab_size=16384"),
        *(f"{shape}.hidden_size=2048", f"{shape}.intermediate_size=64"),
        *(f"{shape}.num_attention_heads=4", f"{shape}.num_key_value_heads=2"),
    )
    assert hosting.largest_tensor_bytes(config(*words)) == 13_631_488
    # Between 3 bits a weight (12 582 912 bytes) and what a word of codes really takes.
    found = list(hosting.problems(config(*words, "host.max_file_bytes=13000000")))
    assert [text for text, _ in found] == [
        "host.max_file_bytes: the largest tensor takes 13631488 bytes, and git_pages allows "
        "13000000 in a file"
    ]
