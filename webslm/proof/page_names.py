"""Own what the proof knows of the page by name; ``site/names.js`` is the page's side of it.

``tests/unit/proof/test_page_names.py`` holds the two to each other and to the page's own text.
"""

from __future__ import annotations

IDS = {
    "load": "load",
    "stop": "stop",
    "input": "input",
    "log": "log",
    "questions": "questions",
    "problemTitle": "problem-title",
    "problemText": "problem-text",
    "problemDetails": "problem-details",
}
"""Elements, by what they are for."""
DATA = {
    "state": "state",
    "loadSeconds": "loadSeconds",
    "finish": "finish",
    "firstPieceSeconds": "firstPieceSeconds",
    "tokensPerSecond": "tokensPerSecond",
}
"""Keys of ``dataset``: the first two of the document's element, the others of an answer."""
STATES = ("starting", "idle", "loading", "ready", "answering", "failed", "unsupported")
"""What the page can be doing (``state`` of the document's element)."""
WAITING = "waiting"
"""``state`` of an answer before its first piece."""
HANDLER = "webslmHandler"
"""web-llm's handler in the page's worker."""
