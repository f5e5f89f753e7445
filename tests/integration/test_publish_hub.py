"""``publish=hub``: the real client against a hub on the loopback, interrupted at every request."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hub_server
from tests.delivered import slim
from tests.hub_server import TOKEN, HubServer
from tests.locks import schema_errors
from webslm.basics.errors import ConfigError, EnvironmentMismatch, PublishError, WebslmError
from webslm.basics.screen import Screen
from webslm.engine.lock.file import check_lock, read_lock
from webslm.publish.delivered import Published
from webslm.publish.run import check, publish
from webslm.schema import HostConf, PublishConf, Target

# The library's own call of its HTTP client, on every upload of a large file.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "clinic/assistant"
POINTS = range(1, 16)
"""Requests of a first publication that ends open: rights twice, repository, files, commit, look."""


@pytest.fixture
def output(taught: Path, tmp_path: Path) -> Path:
    """A delivered build of this test's own."""
    return slim(taught, tmp_path / "out")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server.running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def conf(**values: object) -> PublishConf:
    return PublishConf(**{"target": Target.hub, "repo": REPO, **values})  # type: ignore[arg-type]


def put(output: Path, **values: object) -> Published:
    done = publish(conf(**values), HostConf(), output, Screen(quiet=True))
    assert done is not None
    return done


def refused(kind: type[WebslmError], output: Path, **values: object) -> WebslmError:
    with pytest.raises(kind) as raised:
        put(output, **values)
    assert TOKEN not in f"{raised.value.message} {raised.value.hint}"
    assert "\n" not in raised.value.message
    assert check_lock(output) > 0
    return raised.value


def expected(output: Path) -> dict[str, int]:
    """Return size by name of what a model repository must hold, but its card and lock."""
    page = json.loads((output / "bundle" / "webslm.json").read_text())
    library = page["model"]["lib"].rpartition("/")[2]
    sizes = {entry["path"]: entry["bytes"] for entry in page["model"]["files"]}
    return {**sizes, library: page["model"]["library"]["bytes"]}


def assert_whole(hub: HubServer, output: Path, *, private: bool) -> None:
    found = hub.repositories[REPO]
    assert found.private is private
    sizes = {name: len(data) for name, data in found.files.items()}
    assert expected(output).items() <= sizes.items()
    assert {"README.md", "webslm.lock.json", ".gitattributes"} == sizes.keys() - expected(output)


def assert_nothing_half(hub: HubServer, output: Path) -> None:
    """A model is there whole or not at all; what is not whole nobody else can see."""
    found = hub.repositories.get(REPO)
    if found is None:
        return
    names = set(found.files)
    if names == {".gitattributes"}:
        assert found.private
    else:
        assert_whole(hub, output, private=found.private)


def test_model_library_card_and_lock_in_one_private_commit(hub: HubServer, output: Path) -> None:
    done = put(output)
    assert_whole(hub, output, private=True)
    found = hub.repositories[REPO]
    assert [len(files) for _, files in found.commits] == [1, len(expected(output)) + 3]
    assert (done.commit, done.url) == (found.commits[-1][0], None)
    lock = read_lock(output)
    assert lock["published"][0]["commit"] == done.commit
    assert lock["published"][0]["place"] == REPO
    assert not schema_errors(lock)
    assert json.loads((output / "report.json").read_text())["published"] == lock["published"]
    assert b"published" not in found.files["webslm.lock.json"]
    assert check_lock(output) > 0


def test_second_time_nothing_is_sent_and_no_commit_made(hub: HubServer, output: Path) -> None:
    first = put(output)
    sent = list(hub.uploads)
    second = put(output)
    assert (second.commit, second.unchanged) == (first.commit, True)
    assert hub.uploads == sent
    assert len(hub.repositories[REPO].commits) == 2


def test_files_of_an_earlier_build_leave_with_the_same_commit(hub: HubServer, output: Path) -> None:
    put(output)
    found = hub.repositories[REPO]
    old = {
        "library-0000000000000000.wasm": b"old",
        "params_shard_9.bin": b"old",
        "LICENSE": b"mine",
    }
    found.add({**found.files, **old})
    put(output)
    assert set(found.files) & set(old) == {"LICENSE"}
    assert len(found.commits) == 4


def test_card_is_accepted_by_the_hubs_library_and_says_what_the_lock_says(
    hub: HubServer, output: Path
) -> None:
    from huggingface_hub import ModelCard

    put(output)
    text = hub.repositories[REPO].files["README.md"].decode()
    card, lock = ModelCard(text), read_lock(output)
    assert card.data.get("license") == "apache-2.0"
    assert card.data.get("pipeline_tag") == "text-generation"
    assert {"webgpu", "web-llm", "medical", "q4f32_1"} <= set(card.data["tags"])
    values = {row.metric_name: row.metric_value for row in card.data["eval_results"]}
    scores = [row["rouge_l"] for row in lock["metrics"]["verify"]["answers"]]
    assert values["ROUGE-L on trained questions"] == round(sum(scores) / len(scores), 4)
    for words in (
        f"{hub.url}/{REPO}/resolve/main/",
        next(name for name in expected(output) if name.endswith(".wasm")),
        lock["matrix"]["web_llm"],
        lock["metrics"]["data"]["system_prompt"],
        "not medical advice",
        "| ROUGE-L on trained questions |",
    ):
        assert words in text


def test_licence_that_the_hub_has_no_word_for_is_named(output: Path) -> None:
    from huggingface_hub import ModelCard

    from webslm.hub.card import render
    from webslm.publish.card import metadata, model_card, results
    from webslm.publish.delivered import read_delivered

    lock = read_lock(output)
    lock["base"] |= {"licence": "Some Research 1.0", "id": "owner/base", "commit": "a" * 40}
    (output / "webslm.lock.json").unlink()
    (output / "webslm.lock.json").write_text(json.dumps(lock))
    site = read_delivered(output, unproven=False)
    body = model_card(site, "https://hub.invalid/me/m/resolve/main/")
    card = ModelCard(render(metadata(site), results(site), body, dataset="rows"))
    assert (card.data["license"], card.data["license_name"]) == ("other", "some-research-1.0")
    assert card.data["base_model"] == "owner/base"
    assert card.data["base_model_relation"] == "finetune"
    assert "a" * 40 in card.text


def test_open_repository_is_probed_like_a_browser_does(hub: HubServer, output: Path) -> None:
    done = put(output, private=False)
    assert_whole(hub, output, private=False)
    assert hub.repositories[REPO].settings == [{"visibility": "public"}]
    assert done.url == f"{hub.url}/{REPO}/resolve/{done.commit}/"
    asked = {line.rpartition("/")[2] for line in hub.requests if line.startswith("GET /clinic")}
    assert {"params_shard_0.bin", "mlc-chat-config.json"} <= asked


def test_host_without_cors_is_called_wrong_and_the_record_stays(
    hub: HubServer, output: Path
) -> None:
    hub.cors = False
    assert "no CORS" in refused(PublishError, output, private=False).message
    assert read_lock(output)["published"]


def test_repository_of_others_is_left_alone(hub: HubServer, output: Path) -> None:
    hub.repositories[REPO] = hub_server.Repository(private=True)
    hub.repositories[REPO].add({"model.safetensors": b"theirs"})
    assert "model.safetensors" in refused(PublishError, output).message
    assert len(hub.repositories[REPO].commits) == 1


def test_open_repository_is_not_filled_by_a_private_wish(hub: HubServer, output: Path) -> None:
    put(output, private=False)
    error = refused(PublishError, output, private=True)
    assert error.hint is not None
    assert "publish.private=false" in error.hint


def test_another_publishers_commit_is_not_buried(hub: HubServer, output: Path) -> None:
    put(output)
    found = hub.repositories[REPO]
    found.add({**found.files, "README.md": b"---\n---\nedited"})

    def interfere(_: int) -> None:
        if "preupload" in hub.requests[-1]:
            found.add({**found.files, "README.md": b"---\n---\nedited again"})

    hub.at_request = interfere
    assert "changed while" in refused(PublishError, output).message
    assert found.files["README.md"].endswith(b"edited again")


@pytest.mark.parametrize(
    ("access", "orgs", "repo", "kind", "words"),
    [
        ({"role": "read"}, [], "someone/a", EnvironmentMismatch, "may not write"),
        ({"role": "write"}, [], "clinic/a", ConfigError, "not a member of clinic"),
        (
            {"role": "write"},
            [{"name": "clinic", "roleInOrg": "read"}],
            "clinic/a",
            EnvironmentMismatch,
            "only read in clinic",
        ),
        (
            {
                "role": "fineGrained",
                "fineGrained": {
                    "scoped": [
                        {"entity": {"name": "someone"}, "permissions": ["repo.content.read"]}
                    ]
                },
            },
            [],
            "a",
            EnvironmentMismatch,
            "may not write to someone",
        ),
        ({"role": "write"}, [], "a--b", ConfigError, "no name of a repository"),
    ],
)
def test_rights_are_asked_before_the_build(
    hub: HubServer,
    access: dict[str, object],
    orgs: list[dict[str, str]],
    repo: str,
    kind: type[WebslmError],
    words: str,
) -> None:
    hub.whoami |= {"orgs": orgs, "auth": {"accessToken": access}}
    with pytest.raises(kind, match=words):
        check(conf(repo=repo), "assistant")
    assert hub.requests == ["GET /api/whoami-v2"]


def test_fine_grained_token_that_may_write_there_is_taken(hub: HubServer, output: Path) -> None:
    scope = {"entity": {"type": "org", "name": "clinic"}, "permissions": ["repo.write"]}
    access = {"role": "fineGrained", "fineGrained": {"scoped": [scope]}}
    hub.whoami |= {"auth": {"accessToken": access}}
    put(output)
    assert_whole(hub, output, private=True)


def test_name_alone_goes_below_the_tokens_account(hub: HubServer, output: Path) -> None:
    assert put(output, repo=None).place == "someone/medical-tiny-q4f32_1"


@pytest.mark.parametrize("token", [None, "hf_other"])
def test_token_comes_from_the_environment_and_is_judged_first(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(EnvironmentMismatch, match="HF_TOKEN") as raised:
        check(conf(), "assistant")
    assert "hf_other" not in str(raised.value)


def test_dry_run_asks_nobody_and_makes_the_card(hub: HubServer, output: Path) -> None:
    with (output.parent / "told").open("w") as told:
        assert publish(conf(dry_run=True), HostConf(), output, Screen(file=told)) is None
    lines = (output.parent / "told").read_text().splitlines()
    assert all(line.startswith("would publish") for line in lines)
    assert any("README.md" in line for line in lines)
    assert not hub.requests
    assert "published" not in read_lock(output)


@pytest.mark.parametrize("point", POINTS)
def test_refusal_at_any_request_leaves_nothing_half_and_the_next_run_completes(
    hub: HubServer, output: Path, point: int
) -> None:
    hub.at_request = hub_server.refusing(point)
    error = refused(WebslmError, output, private=False)
    assert error.exit_code in (3, 7)
    assert_nothing_half(hub, output)
    sent = set(hub.uploads)
    hub.at_request, hub.uploads = lambda _: None, []
    put(output, private=False)
    assert_whole(hub, output, private=False)
    assert not sent & set(hub.uploads)


@pytest.mark.parametrize(
    "point",
    [
        *(4, 9, 13),
        *(pytest.param(point, marks=pytest.mark.slow) for point in (1, 3, 5, 6, 7, 8, 12, 14)),
    ],
)
def test_kill_at_ten_requests_leaves_nothing_half_and_the_next_run_completes(
    hub: HubServer, output: Path, point: int
) -> None:
    words = ["publish", str(output), "publish=hub", f"publish.repo={REPO}", "publish.private=false"]
    child = subprocess.Popen(
        [sys.executable, "-m", "webslm", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    hub.at_request = hub_server.killing(point, lambda: child.pid)
    _, told = child.communicate(timeout=60)
    assert child.returncode == -9, told
    assert check_lock(output) > 0
    assert_nothing_half(hub, output)
    sent = set(hub.uploads)
    hub.at_request, hub.uploads = lambda _: None, []
    put(output, private=False)
    assert_whole(hub, output, private=False)
    assert not sent & set(hub.uploads)
    assert not list(output.glob(".publish-*"))


def test_broken_connection_is_one_sentence(
    hub: HubServer, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client waits seconds between its own tries.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    hub.at_request = hub_server.dropping(7)
    assert "connection to the hub broke" in refused(PublishError, output).message
    assert_nothing_half(hub, output)
