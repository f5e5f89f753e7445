"""The lockfile next to each output: written, read, compared."""
