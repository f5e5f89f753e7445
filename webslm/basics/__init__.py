"""What every room uses.

Errors and their sentences, files, paths, processes, the screen, a stage's contract.
"""
