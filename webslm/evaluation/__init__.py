"""What a model's answers are worth: asked with torch, scored, gated, put into sentences."""
