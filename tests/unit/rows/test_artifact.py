"""The data stage's files: rows go in and come out the same by every reader."""

from __future__ import annotations

from pathlib import Path

from webslm.rows import artifact
from webslm.rows.dataset import Row
from webslm.rows.roles import NO_LOSS, answers, is_learnt, learnt

USER = {"role": "user", "content": "line\u2028separator"}
FIRST = {"role": "assistant", "content": "Once\n\tmore."}
AGAIN = {"role": "user", "content": "and?"}
LAST = {"role": "assistant", "content": "é"}
ROW = Row(1, (USER, FIRST, AGAIN, LAST), unlearnt=frozenset({1}))


def write(folder: Path, name: str, *rows: Row) -> Path:
    path = folder / name
    path.write_text(artifact.dump_rows(rows), encoding="utf-8")
    return path


def test_every_reader_sees_the_same_conversation(tmp_path: Path) -> None:
    path = write(tmp_path, artifact.TRAIN, ROW)
    write(tmp_path, artifact.HELD_OUT)
    assert artifact.read_rows(path) == [ROW]
    (messages,) = artifact.read_messages(path)
    assert messages == [USER, {**FIRST, NO_LOSS: 0}, AGAIN, LAST]
    assert list(artifact.located(tmp_path)) == [("train.jsonl:1", list(ROW.messages))]


def test_what_is_learnt_is_told_alike_by_rows_and_messages(tmp_path: Path) -> None:
    path = write(tmp_path, artifact.TRAIN, ROW)
    (row,), (messages,) = artifact.read_rows(path), artifact.read_messages(path)
    assert answers(messages) == answers(row.messages) == [1, 3]
    assert learnt(messages) == [3]
    assert [messages[at]["content"] for at in learnt(messages)] == list(row.answers)
    assert is_learnt(messages[1]) is row.opens_learnt is False


def test_rehearsed_rows_are_learnt_after_the_rows(tmp_path: Path) -> None:
    write(tmp_path, artifact.TRAIN, ROW)
    assert len(artifact.learnt_rows(tmp_path)) == 1
    other = Row(1, (AGAIN, LAST))
    write(tmp_path, artifact.REHEARSAL, other, ROW)
    assert artifact.learnt_rows(tmp_path)[1] == [AGAIN, LAST]
    assert len(artifact.learnt_rows(tmp_path)) == 3


def test_system_prompt_is_what_the_stats_say(tmp_path: Path) -> None:
    for said, wanted in (('{"system_prompt": "Be brief."}', "Be brief."), ("{}", "")):
        (tmp_path / artifact.STATS).write_text(said, encoding="utf-8")
        assert artifact.system_prompt_of(tmp_path) == wanted
