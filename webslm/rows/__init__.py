"""Datasets as people have them: read any shape, examine it, show it. Knows nothing of models."""
