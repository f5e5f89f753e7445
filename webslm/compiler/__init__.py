"""What webslm exists for: a checkpoint to a model library."""
