"""The cache of a machine forgets what nobody uses, and nothing else."""

from __future__ import annotations

import os
import pickle
import time

import pytest

import batchml as bm
from batchml.core.aside import remove_abandoned
from batchml.data import pruning
from batchml.data.artifacts import ArtifactFolder
from batchml.data.pruning import in_use, prune, tidy
from batchml.data.remote import locked

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("BATCHML_CACHE", str(folder))
    return folder


@pytest.fixture
def made(cache):
    """Return what makes files of the cache that were used some time ago."""

    def make(name, age_s, size=10):
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        then = time.time() - age_s
        os.utime(path, (then, then))
        return path

    return make


def test_what_was_not_used_for_long_goes(cache, made):
    old = [made("files/a", 91 * DAY), made("tables/table/aa/aab", 91 * DAY), made("digests/d", 91 * DAY)]
    kept = [made("files/b", 89 * DAY), made("artifacts/x/table/bb/bba", 2 * DAY), made("openml/31.arrow", 900 * DAY)]
    assert prune(cache, keep_s=90 * DAY) == 30
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in kept)
    assert prune(cache, keep_s=0) == 0


def test_what_is_used_stays_though_it_is_old(cache, made):
    path = made("files/a", 91 * DAY)
    stamp = path.stat().st_mtime_ns
    in_use(path)
    assert path.stat().st_mtime_ns == stamp
    assert prune(cache, keep_s=DAY) == 0
    assert path.exists()


def test_beyond_its_size_the_cache_forgets_what_was_not_used_for_longest(cache, made):
    paths = [made(f"files/{age}", age * DAY, size=1 << 20) for age in (1, 2, 3)]
    recent = made("files/now", HOUR / 2, size=5 << 20)
    prune(cache, keep_s=0, limit_mb=7.5)
    assert [path.exists() for path in paths] == [True, True, False]
    prune(cache, keep_s=0, limit_mb=1)
    assert not any(path.exists() for path in paths)
    assert recent.exists()


def test_what_was_never_finished_goes_after_a_day(cache, made):
    left = [made("files/tmp-0123", 2 * DAY), made("tables/table/aa/.aab.tmp-0123", 2 * DAY)]
    written = made("files/.b.tmp-0123", 2 * HOUR)
    prune(cache, keep_s=0, limit_mb=0.000001)
    assert not any(path.exists() for path in left)
    assert written.exists()


def test_a_lock_that_is_held_stays(cache, made):
    held, free = made("files/a.lock", 91 * DAY), made("files/b.lock", 91 * DAY)
    with locked(held):
        prune(cache, keep_s=DAY)
        assert held.exists()
    assert not free.exists()


def test_files_of_another_user_stay(cache, made, monkeypatch):
    path = made("files/a", 91 * DAY)
    monkeypatch.setattr(pruning.os, "getuid", lambda: path.stat().st_uid + 1)
    assert prune(cache, keep_s=DAY) == 0
    assert path.exists()


def test_the_cache_is_tidied_as_configured_and_once_an_hour(cache, made, tmp_path, monkeypatch):
    config = tmp_path / "batchml.toml"
    config.write_text('[cache]\nkeep = "3d"\nlimit = "1M"\n', encoding="utf-8")
    monkeypatch.setenv("BATCHML_CONFIG", str(config))
    old, large = made("files/old", 4 * DAY), made("files/large", 2 * DAY, size=2 << 20)
    tidy(cache)
    assert not old.exists()
    assert not large.exists()
    again = made("files/old", 4 * DAY)
    tidy(cache)
    assert again.exists()
    (mark,) = cache.glob("pruned-*")
    os.utime(mark, (0, 0))
    tidy(cache)
    assert not again.exists()
    config.write_text("[cache]\nkeep = [1]\n", encoding="utf-8")
    os.utime(mark, (0, 0))
    tidy(cache)  # what is wrong there is said where it matters


def test_a_table_that_leaves_the_cache_stays_with_who_has_it_and_is_made_again(cache, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{i},{i / 2}\n" for i in range(1000)), encoding="utf-8")
    backend = bm.as_data_backend(path)
    before = backend.data([3, 999])
    files = [each for each in (cache / "tables").rglob("*") if each.is_file()]
    for each in files:
        os.utime(each, (0, 0))
    assert prune(cache, keep_s=DAY) > 8000
    assert not any(each.exists() for each in files)
    assert backend.data([3, 999]).equals(before)
    other = pickle.loads(pickle.dumps(backend))
    assert other.data([3, 999]).equals(before)
    assert [each for each in (cache / "tables" / "table").rglob("*") if each.is_file()]


def test_an_artifact_folder_loses_what_was_left_beside_a_new_artifact(tmp_path):
    folder = ArtifactFolder(tmp_path)
    left = folder.path("model", "ab12").with_name(".ab99.tmp-0123")
    fresh = left.with_name(".ab98.tmp-0123")
    left.parent.mkdir(parents=True)
    for each in (left, fresh):
        each.write_bytes(b"half")
    os.utime(left, (0, 0))
    folder.put("model", "ab12", lambda aside: aside.write_bytes(b"whole"))
    assert sorted(each.name for each in left.parent.iterdir()) == [".ab98.tmp-0123", "ab12"]
    remove_abandoned(tmp_path / "missing")
