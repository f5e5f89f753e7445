"""The stages: each `run` turns input folders into one output folder."""
