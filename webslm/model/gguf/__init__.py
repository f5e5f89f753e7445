"""GGUF files as bases: where they lie, what their headers say, their weights and tokenizer."""
