"""The only importers of heavy tools: trainer, hub, browser, npm."""
