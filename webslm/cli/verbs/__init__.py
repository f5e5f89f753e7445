"""Own the verbs of the command line, a module each: its words, and what is called with them."""
