"""The folder that an environment with the stand-in of mlc_llm looks into."""
