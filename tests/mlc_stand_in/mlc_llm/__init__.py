"""A stand-in for mlc_llm: its commands' contract, kept strictly, and nothing of its compiler.

Written from the flags, files and failures of the releases, for tests of ``compiler=mlc_llm``.
"""
