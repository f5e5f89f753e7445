"""What of ``publish.*`` is refused for its words alone."""

from __future__ import annotations

import pytest

from webslm.config.checks.publish import target_problems
from webslm.schema import PublishConf, Target


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"target": Target.folder}, "publish.path"),
        ({"target": Target.release, "path": " "}, "publish.path"),
        ({"target": Target.pages}, "publish.remote"),
        ({"target": Target.pages, "remote": "--upload-pack=x"}, "publish.remote"),
        ({"target": Target.pages, "remote": "x.git", "branch": "a..b"}, "publish.branch"),
        ({"target": Target.pages, "remote": "x.git", "branch": "-f"}, "publish.branch"),
        ({"target": Target.hub, "repo": "a/b/c"}, "publish.repo"),
        ({"target": Target.hub, "url": "ftp://x"}, "publish.url"),
        ({"target": Target.hub, "wait_s": -1.0}, "publish.wait_s"),
        ({"target": Target.hub, "max_archive_bytes": 0}, "publish.max_archive_bytes"),
    ],
)
def test_wish_that_cannot_be_names_its_key(values: dict[str, object], told: str) -> None:
    problems = list(target_problems(PublishConf(**values)))  # type: ignore[arg-type]
    assert [message.partition(":")[0] for message, _ in problems] == [told]


def test_password_in_a_remote_is_refused_and_not_repeated() -> None:
    remote = "https://me:s3cret@host.invalid/me/site.git"
    ((message, hint),) = target_problems(PublishConf(target=Target.pages, remote=remote))
    assert "password" in message
    assert "s3cret" not in f"{message}{hint}"


@pytest.mark.parametrize("branch", ["gh-pages", "main", "site/v1.2", "a_b"])
def test_usual_branches_pass(branch: str) -> None:
    conf = PublishConf(target=Target.pages, remote="git@host:me/site.git", branch=branch)
    assert not list(target_problems(conf))
