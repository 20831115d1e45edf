"""A hunt that goes on where another one ended."""

from pathlib import Path

from tests.mutants.answers import Answers, digest


def test_answers_are_kept_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    first = Answers(path, "key")
    first.add("3 sequence 7 on Host: rows of step 2\n")
    first.add("4 \n")
    assert Answers(path, "key").known == {3: "sequence 7 on Host: rows of step 2", 4: ""}
    assert Answers(path, "other").known == {}
    assert Answers(path, "key").known == {}
    assert Answers(None, "key").known == {}


def test_the_key_is_about_sources_and_options(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.py").write_text("1")
    before = digest(tmp_path, ["a"], 5)
    assert digest(tmp_path, ["a"], 5) == before
    assert digest(tmp_path, ["a"], 6) != before
    (tmp_path / "a" / "x.py").write_text("2")
    assert digest(tmp_path, ["a"], 5) != before
