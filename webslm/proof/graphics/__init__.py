"""Own which graphics a proving browser computes with, and how lavapipe gets in. Start none."""
