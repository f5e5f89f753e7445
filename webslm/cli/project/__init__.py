"""Own users' projects: the folder that ``webslm init`` writes."""
