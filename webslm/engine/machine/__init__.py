"""The versions that belong together, and the machine they run on."""
