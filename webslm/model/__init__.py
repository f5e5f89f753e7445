"""A model as files: architectures, weights, prompts, GGUF. Imports no TVM and no torch."""
