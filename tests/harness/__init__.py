"""How a session of tests runs: its own store, the order of its files, nothing left behind."""
