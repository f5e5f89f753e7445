"""The front door: the command, its verbs, and a build from words to finished folders."""
