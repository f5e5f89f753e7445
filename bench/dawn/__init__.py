"""Runs finished builds on a GPU through Dawn, without a browser."""
