"""What a shader's text says: tokens, declarations, sizes of types. Judges nothing."""
