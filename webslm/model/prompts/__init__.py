"""Prompts: the chat template, what it renders, and where an answer ends."""
