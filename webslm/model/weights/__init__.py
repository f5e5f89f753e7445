"""Checkpoints read, checked, quantized and sharded."""
