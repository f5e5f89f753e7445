"""What a library computes with: one file per family of kernels."""
