"""Where a finished build goes: a folder, a branch of pages, the hub, a release."""
