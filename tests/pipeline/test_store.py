"""The store: nothing half made is seen, nothing damaged is used, nothing is made twice."""

import os
import shutil
import threading
from pathlib import Path

import filelock
import pytest
from safetensors import SafetensorError

from vestige.errors import StoreError
from vestige.pipeline import store as store_module
from vestige.pipeline.store import Store, write_atomically


def fill(folder: Path) -> dict[str, int]:
    (folder / "inner").mkdir()
    (folder / "inner" / "weights").write_bytes(b"12345")
    return {"n": 1}


def test_made_once_and_found_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made, now = store.make("train", "k", fill)
    again, later = store.make("train", "k", lambda folder: pytest.fail("made twice"))
    assert (now, later) == (True, False)
    assert made.meta == again.meta == {"n": 1}
    assert made.bytes == 5


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def broken(folder: Path) -> dict[str, int]:
        (folder / "half").write_text("x")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.make("train", "k", broken)
    assert not store.has("train", "k")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("damage", ["change", "remove", "manifest", "no manifest"])
def test_a_damaged_artifact_is_made_again_and_said(tmp_path: Path, damage: str) -> None:
    said: list[str] = []
    store = Store(tmp_path, said.append)
    artifact, _ = store.make("train", "k", fill)
    file = artifact.folder / "inner" / "weights"
    if damage == "change":
        file.write_bytes(b"12346")
    elif damage == "remove":
        file.unlink()
    elif damage == "manifest":
        (artifact.folder / "manifest.json").write_text("{")
    else:
        (artifact.folder / "manifest.json").unlink()
    _, made = store.make("train", "k", fill)
    assert made
    assert len(said) == 1 and "damaged" in said[0] and "made again" in said[0]
    assert file.read_bytes() == b"12345"


def test_no_room_while_making_is_the_stores_trouble_and_not_the_plugins(tmp_path: Path) -> None:
    def full(folder: Path) -> dict[str, int]:
        raise OSError(28, os.strerror(28))

    with pytest.raises(StoreError, match="No space left"):
        Store(tmp_path).make("train", "k", full)

    def full_as_safetensors_says(folder: Path) -> dict[str, int]:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(StoreError, match="No space left"):
        Store(tmp_path).make("train", "k", full_as_safetensors_says)

    def of_the_plugin(folder: Path) -> dict[str, int]:
        raise SafetensorError("Error while deserializing header: header too small")

    with pytest.raises(SafetensorError):
        Store(tmp_path).make("train", "k", of_the_plugin)

    def on_another_disk(folder: Path) -> dict[str, int]:
        raise OSError(30, os.strerror(30), "/usr/lib/plugin/cache.json")

    with pytest.raises(OSError, match=r"plugin/cache\.json"):
        Store(tmp_path).make("train", "k", on_another_disk)

    def on_this_one(folder: Path) -> dict[str, int]:
        raise OSError(30, os.strerror(30), str(folder / "weights"))

    with pytest.raises(StoreError, match="Read-only"):
        Store(tmp_path).make("train", "k", on_this_one)

    def takes_the_name(folder: Path) -> dict[str, int]:
        (folder / "manifest.json").write_text("{}")
        return {}

    with pytest.raises(ValueError, match="must choose another name"):
        Store(tmp_path).make("train", "k", takes_the_name)


def test_a_disk_that_does_not_answer_destroys_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    artifact, _ = store.make("train", "k", fill)

    def silent(file: Path) -> str:
        raise OSError(5, os.strerror(5))

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "_sha256", silent)
        with pytest.raises(StoreError, match="cannot be read"):
            store.get("train", "k")
    assert store.get("train", "k") == artifact


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    made: list[int] = []

    def slow(folder: Path) -> dict[str, int]:
        made.append(1)
        threading.Event().wait(0.3)
        return fill(folder)

    threads = [threading.Thread(target=lambda: Store(tmp_path).make("train", "k", slow)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(store_module, "_sync", full)
    with pytest.raises(StoreError, match="No space left"):
        Store(tmp_path).make("train", "k", fill)
    assert not Store(tmp_path).has("train", "k")


def test_a_store_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(blocked / "store").make("train", "k", fill)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a" / "table.md"
    write_atomically(file, b"old")

    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(store_module.os, "fsync", full)
    with pytest.raises(StoreError):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert [f.name for f in file.parent.iterdir()] == ["table.md"]


def test_what_killed_makers_left_is_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.make("train", "k", fill)
    (tmp_path / "tmp" / "train-killed.x1").mkdir()
    (tmp_path / "tmp" / "train-working.x2").mkdir()
    with Store(tmp_path).lock("train", "working"):
        assert store.sweep() == 1
    assert [f.name for f in (tmp_path / "tmp").iterdir()] == ["train-working.x2"]
    assert [a.key for a in store.artifacts()] == ["k"]
    store.remove(store.artifacts()[0])
    assert store.artifacts() == []


def left_unfinished(store: Store, key: str) -> Path:
    folder = store.unfinished("train", key)
    folder.mkdir(parents=True)
    (folder / "half").write_text("of it")
    return folder


def test_what_can_be_gone_on_with_is_kept_until_it_is_made(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = left_unfinished(store, "k")
    store.sweep()
    with pytest.raises(ZeroDivisionError):
        store.make("train", "k", lambda folder: 1 // 0)  # type: ignore[arg-type, return-value]
    assert folder.exists()
    store.make("train", "k", fill)
    assert not folder.exists()
    assert [a.key for a in store.artifacts()] == ["k"]


def test_what_nobody_went_on_with_is_given_up(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new, busy = (left_unfinished(store, key) for key in ("old", "new", "busy"))
    for folder in (old, busy):
        os.utime(folder, (100, 100))
    with Store(tmp_path).lock("train", "busy"):
        store.give_up(before=200)
    assert not old.exists() and new.exists() and busy.exists()


def test_what_ends_while_leftovers_are_looked_through_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maker removes the folder and lets the lock go, between the listing and the look."""
    store = Store(tmp_path)
    gone, old = (left_unfinished(store, key) for key in ("gone", "old"))
    for folder in (gone, old):
        os.utime(folder, (100, 100))
    acquire = filelock.FileLock.acquire

    def ended(self: filelock.FileLock, *words: object, **more: object) -> object:
        shutil.rmtree(gone, ignore_errors=True)
        return acquire(self, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(filelock.FileLock, "acquire", ended)
    store.give_up(before=200)
    assert not gone.exists() and not old.exists()
