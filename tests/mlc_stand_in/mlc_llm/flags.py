"""The command lines of mlc_llm 0.19.0 and 0.20.0; what they do not have is refused."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

FORMATS = {
    "0.19": (
        *("q0f16", "q0f32", "q3f16_0", "q3f16_1", "q4f16_0", "q4f16_1", "q4f32_1", "q4f16_2"),
        *("q4f16_autoawq", "q4f16_ft", "e5m2_e5m2_f16", "e4m3_e4m3_f16"),
    ),
    "0.20": (
        *("q0f16", "q0bf16", "q0f32", "q3f16_0", "q3f16_1", "q4f16_0", "q4f16_1", "q4bf16_0"),
        *("q4bf16_1", "q4f32_1", "q4f16_2", "q4f16_autoawq", "q4f16_ft", "e5m2_e5m2_f16"),
    ),
}
MODELS = {
    "0.19": ("llama", "mistral", "gemma", "gemma2", "phi3", "qwen2"),
    "0.20": ("llama", "mistral", "gemma", "gemma2", "gemma3", "phi3", "qwen2", "qwen3"),
}
TEMPLATES = ("llama-3", "llama-3_1", "chatml", "qwen2", "phi-3", "gemma_instruction", "LM")
SOURCE_FORMATS = ("auto", "huggingface-torch", "huggingface-safetensor", "awq")
SIZES = (
    *("--context-window-size", "--sliding-window-size", "--prefill-chunk-size"),
    *("--attention-sink-size", "--tensor-parallel-shards", "--pipeline-parallel-stages"),
)


class Parser(argparse.ArgumentParser):
    """Ends as the real one does: help on standard output, the error below it, code 2."""

    def __init__(self, name: str) -> None:
        super().__init__(name, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong."""
        self.print_help()
        sys.stderr.write(f"{message}\n")
        sys.exit(2)


def parser(command: str, release: str) -> Parser:
    """Return a command's parser."""
    made = Parser(f"mlc_llm {command}")
    made.add_argument("model" if command == "compile" else "config")
    needed = command != "compile"
    made.add_argument("--quantization", required=needed, choices=FORMATS[release])
    made.add_argument("--model-type", default="auto", choices=["auto", *MODELS[release]])
    made.add_argument("--output", "-o", required=True)
    if command == "convert_weight":
        made.add_argument("--device", default="auto")
        made.add_argument("--source", default="auto")
        made.add_argument("--source-format", default="auto", choices=SOURCE_FORMATS)
        if release != "0.19":
            made.add_argument("--lora-adapter")
    elif command == "gen_config":
        made.add_argument("--conv-template", required=True, choices=TEMPLATES)
        for name in SIZES:
            made.add_argument(name, type=int)
        made.add_argument("--disaggregation", type=bool)
        made.add_argument("--max-batch-size", type=int, default=128)
    else:
        for name in ("--device", "--host", "--system-lib-prefix"):
            made.add_argument(name, default="auto")
        made.add_argument("--opt", default="O2")
        made.add_argument("--overrides", default="")
        made.add_argument("--debug-dump")
        if release != "0.19":
            made.add_argument("--enable-subgroups", action="store_true")
    return made
