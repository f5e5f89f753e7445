"""A finished site as files: what is delivered, under which names and headers, and its server."""
