"""Own datasets as people have them: read any shape, examine it, show it. Know nothing of models."""
