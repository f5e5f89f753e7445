"""Own Mistral: Llama's layers, all with a sliding window in the first release."""

from __future__ import annotations

from webslm.model.architectures.decoder import Decoder, Style

MISTRAL = Decoder(
    model_type="mistral",
    causal_lm="MistralForCausalLM",
    style=Style(),
    defaults={"sliding_window": 4096, "num_key_value_heads": 8},
    fixed={"attention_bias": False},
)
