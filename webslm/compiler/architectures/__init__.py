"""One file per model architecture: Relax module and weight map."""
