"""Measurements; README.md says what each is. Nothing of webslm imports it."""
