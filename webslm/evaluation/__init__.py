"""Own what a model's answers are worth: scores, intervals, gates, sentences. Load no model."""
