from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from webslm.basics.errors import Bug, EnvironmentMismatch, StageFailed
from webslm.basics.stage import Context, Metrics, Progress, Result, SilentProgress, Status
from webslm.engine import executor
from webslm.engine.executor import BuildFailed, execute
from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Cache
from webslm.schema import MergeStageConf, StageConf


class Silent:
    def __init__(self) -> None:
        self.seen: list[tuple[str, Status]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        yield SilentProgress()

    def finished(self, result: Result) -> None:
        self.seen.append((result.stage, result.status))


class Stages:
    """Two small real stages: ``first`` writes a text, ``second`` doubles it."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def load(self, name: str) -> executor.StageFunction:
        return self.first if name == "first" else self.second

    def first(self, cfg: StageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
        (out / "text").write_text("ab")
        return {"length": 2}

    def second(
        self, cfg: StageConf, inputs: Mapping[str, Path], out: Path, ctx: Context
    ) -> Metrics:
        (out / "text").write_text((inputs["first"] / "text").read_text() * 2)
        if self.error is not None:
            raise self.error
        return {}


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    made = Stages()
    monkeypatch.setattr(executor, "load_stage", made.load)
    return made


def step(stage: str, key: str, *, needs: tuple[str, ...] = (), forced: bool = False) -> Step:
    conf = MergeStageConf(dtype="float32")
    return Step(
        stage=stage, key=key * 64, conf=conf, needs=needs, files={}, wheels={}, forced=forced
    )


PLAN = [step("first", "a"), step("second", "b", needs=("first",))]


def walk(tmp_path: Path, plan: list[Step], display: Silent | None = None) -> list[Result]:
    cache = Cache(tmp_path / "store")
    return execute(plan, cache, log_dir=tmp_path / "log", display=display or Silent())


def test_second_walk_hits_every_step(tmp_path: Path, stages: Stages) -> None:
    display = Silent()
    walk(tmp_path, PLAN, display)
    results = walk(tmp_path, PLAN, display)
    assert [status for _, status in display.seen] == [Status.RAN] * 2 + [Status.HIT] * 2
    assert (results[1].path / "text").read_text() == "abab"
    assert results[0].metrics == {"length": 2}
    assert results[0].peak_rss_bytes > 0


def test_forced_step_runs_again_and_replaces(tmp_path: Path, stages: Stages) -> None:
    walk(tmp_path, PLAN)
    results = walk(tmp_path, [step("first", "a", forced=True), PLAN[1]])
    assert [result.status for result in results] == [Status.RAN, Status.HIT]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (StageFailed("no"), StageFailed),
        (OSError(errno.ENOSPC, "No space left on device"), EnvironmentMismatch),
        (OSError(errno.EACCES, "Permission denied"), EnvironmentMismatch),
        (MemoryError(), StageFailed),
    ],
)
def test_failed_step_stores_nothing_and_keeps_what_was_done(
    tmp_path: Path, stages: Stages, raised: BaseException, expected: type[Exception]
) -> None:
    stages.error = raised
    with pytest.raises(BuildFailed) as caught:
        walk(tmp_path, PLAN)
    assert isinstance(caught.value.error, expected)
    assert (caught.value.stage, len(caught.value.results)) == ("second", 1)
    assert list((tmp_path / "store" / "artifacts" / "second").iterdir()) == []
    stages.error = None
    assert [result.status for result in walk(tmp_path, PLAN)] == [Status.HIT, Status.RAN]


def test_a_full_disk_is_named_by_what_was_written(tmp_path: Path, stages: Stages) -> None:
    stages.error = OSError(errno.ENOSPC, "No space left on device", "read/a", None, "written/b")
    with pytest.raises(BuildFailed) as caught:
        walk(tmp_path, PLAN)
    message = caught.value.error.message
    assert "No space left on device" in message
    assert message.endswith(": written/b")


def test_bug_in_a_stage_is_not_disguised(tmp_path: Path, stages: Stages) -> None:
    stages.error = ZeroDivisionError("bug")
    with pytest.raises(BuildFailed) as caught:
        walk(tmp_path, PLAN)
    assert isinstance(caught.value.error, Bug)
    assert caught.value.error.exit_code == 1
    assert "ZeroDivisionError: bug" in caught.value.error.trace
    assert list((tmp_path / "store" / "artifacts" / "second").iterdir()) == []


def test_keep_going_ends_only_what_reads_the_failed_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def load(name: str) -> executor.StageFunction:
        def work(cfg: StageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
            ran.append(name)
            if name in ("a", "d"):
                raise StageFailed(f"{name} broke")
            return {}

        return work

    monkeypatch.setattr(executor, "load_stage", load)
    steps = [step("a", "a"), step("b", "b", needs=("a",)), step("c", "c"), step("d", "d")]
    cache = Cache(tmp_path / "cache")
    with pytest.raises(BuildFailed, match="a broke") as caught:
        execute(steps, cache, log_dir=tmp_path, display=Silent(), keep_going=True)
    assert ran == ["a", "c", "d"]
    assert list(caught.value.failures) == ["a", "d"]
    assert [result.stage for result in caught.value.results] == ["c"]


def test_partial_work_outlives_a_failure_and_goes_when_the_artifact_is_stored(
    tmp_path: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []

    def first(cfg: StageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
        assert ctx.scratch_dir is not None
        found.append(ctx.scratch_dir.exists())
        ctx.scratch_dir.mkdir(parents=True, exist_ok=True)
        if len(found) == 1:
            raise StageFailed("killed")
        return {}

    monkeypatch.setattr(stages, "first", first)
    scratch = Cache(tmp_path / "store").scratch("first", "a" * 64)
    with pytest.raises(BuildFailed):
        walk(tmp_path, [step("first", "a")])
    assert scratch.exists()
    walk(tmp_path, [step("first", "a")])
    assert not scratch.exists()
    scratch.mkdir(parents=True)
    walk(tmp_path, [step("first", "a", forced=True)])
    assert found == [False, True, False]
