"""Own the names of the files of a model's folder: a checkpoint's, an adapter's, and web-llm's."""

from __future__ import annotations

CONFIG = "config.json"
GENERATION = "generation_config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_FILES = (TOKENIZER, TOKENIZER_CONFIG)
"""What web-llm and transformers need to tokenize alike."""
TOKENIZER_SIDE_FILES = ("special_tokens_map.json", "added_tokens.json")
"""What older tokenizers keep apart, and newer ones repeat."""
TEMPLATE = "chat_template.jinja"
TEMPLATE_JSON = "chat_template.json"
NEEDED = (CONFIG, *TOKENIZER_FILES)
"""What every checkpoint has beside its weights."""
WEIGHTS_SUFFIX = ".safetensors"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
"""Which file holds which tensor, where several do."""

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

CHAT_CONFIG = "mlc-chat-config.json"
TENSOR_INDEX = "tensor-cache.json"
"""Which shard holds which stored tensor."""
OLD_TENSOR_INDEX = "ndarray-cache.json"
"""The same, as tools from before September 2025 name it."""
