"""GGUF files as bases: where they lie, what their headers say. Imports no numpy."""
