"""The model hub: download, cache, rows, upload, card, token."""
