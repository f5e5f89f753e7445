"""What is done to a module between writing it and building it."""
