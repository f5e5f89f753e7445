"""Own Llama: Llama 2 and 3, TinyLlama, SmolLM2 and what else is saved as one."""

from __future__ import annotations

from webslm.model.architectures.decoder import Decoder, Style

LLAMA = Decoder(
    model_type="llama",
    causal_lm="LlamaForCausalLM",
    style=Style(output_bias=True),
    # Mistrals that were renamed keep these keys; Llama's attention reads neither.
    fixed={"sliding_window": None, "layer_types": None},
)
