"""Own the question to the hub: whose token this is and what it may do. The token is never shown."""

from __future__ import annotations

import logging


def token_rights() -> tuple[str, str]:
    """Return (ok, note or missing; a sentence) on the token of this environment."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError

    if not get_token():
        return "note", "no token: public bases need none, gated ones do"
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        answer = HfApi().whoami()
    except HfHubHTTPError as exc:
        code = exc.response.status_code
        if code in (401, 403):
            return "missing", f"the hub refuses the token ({code})"
        return "note", f"a token is set; its rights were not checked: the hub answered {code}"
    except (OSError, HTTPError) as exc:
        return "note", f"a token is set; its rights were not checked: no hub ({type(exc).__name__})"
    access = (answer.get("auth") or {}).get("accessToken") or {}
    role = access.get("role") or "unknown"
    publishes = "publishes too" if role == "write" else "downloads only, unless its scopes say more"
    return "ok", f"token of {answer.get('name')}: role {role}, {publishes}"
