"""Saved files: whole whatever happens, and damage is told."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading

import numpy as np
import pytest
from conftest import problem

import linreg_fast
from linreg_fast import Moments
from linreg_fast.saved import framed
from linreg_fast.streams import checkpoints, summing

STATE = {"identity": "it", "done": 3, "rows": 30, "n_rows": 28, "dropped": 2, "holes": [1], "last": 7}


def flipped(data, masks=(0x01, 0x20, 0xFF)):
    """The bytes with one of them changed, every byte in turn and in several ways."""
    for at in range(len(data)):
        for mask in masks:
            yield data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def some_moments():
    X, y, _, _ = problem(30, 2)
    return Moments(2).update(X, y)


# frames


def test_frame():
    data = framed.frame(b"magic", 258, b"body", b"", b" of parts")
    assert data[:-16] == b"magic\x02\x01body of parts"
    assert bytes(framed.unframe(data, b"magic", 258, "thing")) == b"body of parts"
    assert bytes(framed.unframe(framed.frame(b"m", 1), b"m", 1, "thing")) == b""
    for wrong in (b"", b"magic", data[:22], b"Magic" + data[5:]):
        with pytest.raises(ValueError, match=rf"^not a saved thing: {len(wrong)} bytes"):
            framed.unframe(wrong, b"magic", 258, "thing")
    with pytest.raises(ValueError, match=r"^saved by version 258 of the format; this one reads 1"):
        framed.unframe(data, b"magic", 1, "thing")
    for wrong in (data[:-1], data + b"\0", data[:8] + b"x" + data[9:]):
        with pytest.raises(ValueError, match=r"^not a whole thing: the checksum does not fit"):
            framed.unframe(wrong, b"magic", 258, "thing")


# files that are replaced


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(("fault", "error"), [(full, OSError), (killed, KeyboardInterrupt)])
@pytest.mark.parametrize("before", [b"whole", None])
def test_what_stops_a_write_leaves_the_file_before(tmp_path, monkeypatch, step, fault, error, before):
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    monkeypatch.setattr(os, step, fault)
    with pytest.raises(error) as raised:
        framed.replace_file(path, b"new", "the thing")
    if error is OSError:
        assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
        assert raised.value.strerror.startswith("the thing was not written (No space left on device); one that was")
    assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["file"])
    monkeypatch.undo()
    framed.replace_file(path, b"new", "the thing")
    assert path.read_bytes() == b"new"


def test_what_a_killed_write_left_is_overwritten_and_taken_away(tmp_path):
    path, left = tmp_path / "file", tmp_path / "file.new"
    left.write_bytes(b"half of something longer")
    framed.replace_file(path, b"new", "it")
    assert path.read_bytes() == b"new"
    assert not left.exists()
    left.write_bytes(b"half")
    framed.remove_file(path)
    framed.remove_file(path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_or_a_file_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        framed.replace_file(tmp_path / "none" / "file", b"new", "it")
    assert raised.value.filename == str(tmp_path / "none" / "file")
    with pytest.raises(IsADirectoryError):
        framed.replace_file(tmp_path, b"new", "it")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and permissions are those of POSIX")
def test_links_pipes_and_permissions_stay_what_they_are(tmp_path):
    path, link, pipe = tmp_path / "file", tmp_path / "link", tmp_path / "pipe"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to("file")
    framed.replace_file(link, b"new", "it")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    framed.replace_file(pipe, b"through", "it")
    reader.join()
    assert found == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "link", "pipe"]


# checkpoints


def test_checkpoint_comes_back(tmp_path):
    moments = some_moments()
    checkpoints.save(tmp_path / "c", STATE, moments)
    state, found = checkpoints.load(tmp_path / "c", "it")
    assert state == STATE
    assert found.to_bytes() == moments.to_bytes()


def test_damaged_checkpoints_are_refused_by_name(tmp_path):
    path = tmp_path / "c"
    checkpoints.save(path, STATE, some_moments())
    data = path.read_bytes()
    damaged = [*flipped(data), *(data[:size] for size in range(len(data))), data + b"\0", b"\0" * 1000]
    for wrong in damaged:
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match="c is not a whole checkpoint of this version") as raised:
            checkpoints.load(path, "it")
        assert str(path) in str(raised.value)


def test_checkpoints_that_only_look_whole_are_refused_by_name(tmp_path):
    path, moments = tmp_path / "c", some_moments().to_bytes()
    states = [b"", b"3", b"null", b"[]", b"{}", b"[" * 100_000, b'{"identity": "it"}', b"1" * 10_000]
    for name in STATE:
        kept = {key: value for key, value in STATE.items() if key != name}
        states += [json.dumps(state).encode() for state in (kept, kept | {name: True}, kept | {name: -1})]
    states.append(json.dumps(STATE | {"holes": [1.5]}).encode())
    for body in [
        *(state + b"\n" + moments for state in states),
        json.dumps(STATE).encode() + b"\n" + moments[:-1],
        b"",
    ]:
        path.write_bytes(framed.frame(checkpoints.MAGIC, checkpoints.VERSION, body))
        with pytest.raises(ValueError, match="c is not a whole checkpoint of this version"):
            checkpoints.load(path, "it")


def test_what_a_killed_checkpoint_left_goes_with_the_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(summing, "CHECKPOINT_SECONDS", np.inf)  # no other is written
    X, y, _, _ = problem(3000, 2)
    (tmp_path / "c.new").write_bytes(b"half")
    linreg_fast.fit_stream([(X[i : i + 500], y[i : i + 500]) for i in range(0, 3000, 500)], checkpoint=tmp_path / "c")
    assert list(tmp_path.iterdir()) == []
