"""The store of artifacts: one folder per key, listed, checked, cleaned, carried, shared."""
