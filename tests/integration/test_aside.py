"""Files that are there whole or not at all."""

import threading

import pytest

from batchml.core.aside import written_aside


def test_threads_that_write_one_file_leave_one_whole_content_and_nothing_else(tmp_path):
    target = tmp_path / "a.json"
    contents = [str(number) * 200_000 for number in range(8)]

    def write(content):
        for _ in range(5):
            with written_aside(target) as aside:
                aside.write_text(content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_text() in contents
    assert list(tmp_path.iterdir()) == [target]


def test_who_fails_to_write_leaves_the_old_content(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(UnicodeEncodeError), written_aside(target) as aside:
        aside.write_text("half\ud800", encoding="utf-8")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
