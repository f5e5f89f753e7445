"""``convert`` on real (random) Qwen2 checkpoints: exactness, determinism, errors, memory."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from webslm.basics.errors import StageFailed
from webslm.basics.stage import Context, Metrics
from webslm.model.architectures import architecture
from webslm.model.weights.format import Format
from webslm.model.weights.quantization import dequantize, quantize
from webslm.model.weights.shards import iterate
from webslm.schema import ConvertStageConf, QuantConf, ShapeConf
from webslm.stages.convert import dequantized_state, run

Array = npt.NDArray[np.float32]
SHAPE = ShapeConf(
    model_type="qwen2",
    hidden_size=72,
    intermediate_size=104,
    num_hidden_layers=2,
    num_attention_heads=6,
    num_key_value_heads=2,
    head_dim=12,
    vocab_size=301,
    max_position_embeddings=128,
)
PARAMETERS = architecture("qwen2").parameters(SHAPE)
FORMATS = {
    "q0f32": QuantConf(name="q0f32", bits=0, dtype="float32"),
    "q0f16": QuantConf(name="q0f16", bits=0, dtype="float16"),
    "q4f16_1": QuantConf(name="q4f16_1", bits=4, dtype="float16"),
    "q4f32_1": QuantConf(name="q4f32_1", bits=4, dtype="float32", scale_encoding="f32-to-bf16"),
}


def save_model(folder: Path, dtype: str = "float32") -> dict[str, Array]:
    """Save a random Qwen2 as transformers does; return its tensors."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(1)
    config = Qwen2Config(
        hidden_size=SHAPE.hidden_size,
        intermediate_size=SHAPE.intermediate_size,
        num_hidden_layers=SHAPE.num_hidden_layers,
        num_attention_heads=SHAPE.num_attention_heads,
        num_key_value_heads=SHAPE.num_key_value_heads,
        vocab_size=SHAPE.vocab_size,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder)
    return {n: t.float().numpy() for n, t in model.state_dict().items() if n != "lm_head.weight"}


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Array]]:
    folder = tmp_path_factory.mktemp("merge")
    return folder, save_model(folder)


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., tuple[Path, Metrics]]:
    def call(folder: Path, quant: str, name: str = "out") -> tuple[Path, Metrics]:
        out = tmp_path / name
        out.mkdir()
        context = Context(cache_dir=tmp_path, log_dir=tmp_path)
        conf = ConvertStageConf(shape=SHAPE, quant=FORMATS[quant])
        return out, run(conf, {"merge": folder}, out, context)

    return call


Convert = Callable[..., tuple[Path, Metrics]]
Merged = tuple[Path, dict[str, Array]]


@pytest.mark.parametrize("quant", list(FORMATS))
def test_convert_stores_exactly_what_the_library_asks_for(
    merged: Merged, convert: Convert, quant: str
) -> None:
    out, metrics = convert(merged[0], quant)
    expected = [t for p in PARAMETERS for t in Format(FORMATS[quant]).tensors(p)]
    found = {name: (values.shape, str(values.dtype)) for name, values in iterate(out)}
    assert found == {t.name: (t.shape, t.dtype) for t in expected}
    assert metrics["tensors"] == len(PARAMETERS)
    assert metrics["bytes"] == sum(t.nbytes for t in expected)


def test_convert_q0f32_is_exact(merged: Merged, convert: Convert) -> None:
    out, metrics = convert(merged[0], "q0f32")
    state = dequantized_state(out, PARAMETERS, FORMATS["q0f32"])
    assert set(state) == set(merged[1])
    for name, values in merged[1].items():
        assert np.array_equal(state[name], values), name
    assert metrics["worst_rms_relative_error"] == 0.0


@pytest.mark.parametrize("quant", ["q4f16_1", "q4f32_1"])
def test_dequantized_state_is_the_group_rule_on_each_tensor(
    merged: Merged, convert: Convert, quant: str
) -> None:
    out, metrics = convert(merged[0], quant)
    conf = FORMATS[quant]
    state = dequantized_state(out, PARAMETERS, conf)
    assert set(state) == set(merged[1])
    for name, values in merged[1].items():
        if values.ndim == 2:
            # Groups lie within a row, so a tensor's rows quantize alike alone or concatenated.
            expected = dequantize(*quantize(values, conf), values.shape[1], conf)
        else:
            expected = values.astype(conf.dtype).astype(np.float32)
        assert np.array_equal(state[name], expected), name
    assert 0.02 < float(str(metrics["worst_rms_relative_error"])) < 0.2


def test_dequantized_state_loads_into_the_torch_model(merged: Merged, convert: Convert) -> None:
    import torch
    from transformers import Qwen2ForCausalLM

    out, _ = convert(merged[0], "q4f32_1")
    model = Qwen2ForCausalLM.from_pretrained(merged[0])
    ids = torch.arange(20)[None]
    with torch.no_grad():
        before = model(ids).logits
        state = dequantized_state(out, PARAMETERS, FORMATS["q4f32_1"])
        tensors = {name: torch.from_numpy(values) for name, values in state.items()}
        loaded = model.load_state_dict(tensors, strict=False)
        after = model(ids).logits
    assert loaded.unexpected_keys == []
    assert loaded.missing_keys in ([], ["lm_head.weight"])
    assert 0 < (after - before).abs().max() < before.abs().max()


def test_convert_report_tells_error_bytes_and_digests(merged: Merged, convert: Convert) -> None:
    out, metrics = convert(merged[0], "q4f32_1")
    report = json.loads((out / "convert.json").read_text())
    for name, entry in report["files"].items():
        content = (out / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert set(report["files"]) == {p.name for p in out.iterdir()} - {"convert.json"}
    rows = {row["name"]: row for row in report["tensors"]}
    state = dequantized_state(out, PARAMETERS, FORMATS["q4f32_1"])
    row = rows["model.layers.0.self_attn.c_attn.weight"]
    assert list(row["sources"].values()) == [72, 24, 24]
    exact = np.concatenate([merged[1][source] for source in row["sources"]])
    difference = np.concatenate([state[source] for source in row["sources"]]) - exact
    assert row["max_abs_error"] == pytest.approx(np.abs(difference).max(), rel=1e-5)
    relative = np.sqrt(np.square(difference).sum() / np.square(exact).sum())
    assert row["rms_relative_error"] == pytest.approx(relative, rel=1e-4)
    assert rows["model.norm.weight"]["max_abs_error"] == 0.0
    assert metrics["worst_rms_relative_error"] == max(
        r["rms_relative_error"] for r in rows.values()
    )


def test_convert_is_deterministic(merged: Merged, convert: Convert) -> None:
    first, _ = convert(merged[0], "q4f32_1", "first")
    second, _ = convert(merged[0], "q4f32_1", "second")
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_convert_reads_half_precision(tmp_path: Path, convert: Convert, dtype: str) -> None:
    folder = tmp_path / "half"
    tensors = save_model(folder, dtype)
    out, _ = convert(folder, "q0f32")
    state = dequantized_state(out, PARAMETERS, FORMATS["q0f32"])
    assert all(np.array_equal(state[name], values) for name, values in tensors.items())


# TVM's own reader leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_convert_shards_are_read_by_tvm(merged: Merged, convert: Convert) -> None:
    tvm = pytest.importorskip("tvm")
    from tvm.contrib import tvmjs

    out, _ = convert(merged[0], "q4f32_1")
    found, metadata = tvmjs.load_tensor_cache(str(out / "tensor-cache.json"), tvm.cpu())
    assert set(found) == {name for name, _ in iterate(out)}
    for name, values in iterate(out):
        assert np.array_equal(found[name].numpy(), values), name
    assert metadata["ParamSize"] == len(found)


def broken(folder: Path, target: Path, change: Callable[[dict[str, Array]], object]) -> Path:
    """Copy a checkpoint's tensors with a change."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    target.mkdir()
    save_file(tensors, target / "model.safetensors")
    return target


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_convert_names_a_tensor_that_is_not_finite(
    merged: Merged, convert: Convert, tmp_path: Path, value: float
) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    bad = broken(merged[0], tmp_path / "bad", lambda t: t[name].__setitem__((3, 4), value))
    with pytest.raises(StageFailed, match=rf"^{name}: 1 weights are NaN or infinite"):
        convert(bad, "q4f32_1")


@pytest.mark.parametrize("name", ["model.layers.0.mlp.down_proj.weight", "model.norm.weight"])
def test_convert_names_a_tensor_too_large_for_float16(
    merged: Merged, convert: Convert, tmp_path: Path, name: str
) -> None:
    bad = broken(merged[0], tmp_path / "bad", lambda t: t[name].__setitem__(0, 1e6))
    with pytest.raises(StageFailed, match=rf"^{name}: too large for float16") as caught:
        convert(bad, "q4f16_1", "half")
    assert "q4f32_1" in str(caught.value.hint)
    convert(bad, "q4f32_1", "full")


def test_convert_names_unused_and_missing_tensors(
    merged: Merged, convert: Convert, tmp_path: Path
) -> None:
    extra = {"model.layers.0.self_attn.q_proj.lora_A.weight": np.zeros((2, 2), np.float32)}
    adapter = broken(merged[0], tmp_path / "adapter", lambda t: t.update(extra))
    with pytest.raises(StageFailed, match=r"nothing uses its .*lora_A") as caught:
        convert(adapter, "q4f32_1", "a")
    assert "adapter" in str(caught.value.hint)
    headless = broken(merged[0], tmp_path / "less", lambda t: t.pop("model.norm.weight"))
    with pytest.raises(StageFailed, match=r"it lacks model\.norm\.weight"):
        convert(headless, "q4f32_1", "b")


def test_convert_allows_a_tied_head_only_if_it_is_the_table(
    merged: Merged, convert: Convert, tmp_path: Path
) -> None:
    table = merged[1]["model.embed_tokens.weight"]
    tied = broken(
        merged[0], tmp_path / "tied", lambda t: t.update({"lm_head.weight": table.copy()})
    )
    out, _ = convert(tied, "q0f32", "tied_out")
    assert "lm_head.weight" not in dequantized_state(out, PARAMETERS, FORMATS["q0f32"])
    other = broken(merged[0], tmp_path / "other", lambda t: t.update({"lm_head.weight": table + 1}))
    with pytest.raises(StageFailed, match=r"lm_head\.weight differs from model\.embed_tokens"):
        convert(other, "q0f32", "other_out")


def test_dequantized_state_refuses_another_format(merged: Merged, convert: Convert) -> None:
    out, _ = convert(merged[0], "q4f32_1")
    with pytest.raises(StageFailed, match="the format says"):
        dequantized_state(out, PARAMETERS, FORMATS["q4f16_1"])


MEMORY_SCRIPT = """
import json, sys
from pathlib import Path
import numpy
from webslm.model.architectures import architecture
from webslm.schema import ConvertStageConf, QuantConf, ShapeConf
from webslm.basics.stage import Context
from webslm.stages.convert import run

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
conf = ConvertStageConf(
    shape=ShapeConf(**json.loads(sys.argv[3])),
    quant=QuantConf(name="q4f32_1", bits=4, dtype="float32", scale_encoding="f32-to-bf16"),
)
before = peak()
metrics = run(conf, {"merge": folder}, out, Context(cache_dir=out, log_dir=out))
print(json.dumps({"grown": peak() - before, **metrics}))
"""
LARGE = {
    "model_type": "qwen2",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": 65536,
    "max_position_embeddings": 128,
}


def write_large(path: Path) -> tuple[int, int]:
    """Write a checkpoint tensor by tensor; return its bytes and its largest tensor's."""
    shapes: dict[str, list[int]] = {}
    for parameter in architecture("qwen2").parameters(ShapeConf(**LARGE)):  # type: ignore[arg-type]
        parts = {3: [1024, 256, 256], 2: [4096, 4096], 1: [parameter.shape[0]]}
        for source, rows in zip(parameter.sources, parts[len(parameter.sources)], strict=True):
            shapes[source] = [rows, *parameter.shape[1:]]
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    noise = np.random.default_rng(0).standard_normal(1 << 20).astype(np.float32).tobytes()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            left = 4 * int(np.prod(shape))
            while left:
                left -= file.write(noise[:left])
    return offset, max(4 * int(np.prod(shape)) for shape in shapes.values())


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_convert_memory_does_not_follow_the_checkpoint(tmp_path: Path) -> None:
    total, largest = write_large(tmp_path / "model.safetensors")
    assert total > 900e6
    assert largest > 250e6
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT, str(tmp_path), str(out), json.dumps(LARGE)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    # pytest keeps the folders of three sessions: not with a gigabyte each.
    (tmp_path / "model.safetensors").unlink()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["grown"] < 96 << 20
    assert found["bytes"] < total / 6
