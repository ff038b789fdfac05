"""Saved files: whole whatever happens, and damage is told."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading

import numpy as np
import pytest
from support.problems import problem

import linreg_fast
from linreg_fast import LinearFit, Moments
from linreg_fast.saved import framed
from linreg_fast.streams import checkpoints, summing

STATE = {"identity": "it", "done": 3, "rows": 30, "n_rows": 28, "dropped": 2, "holes": [1], "last": 7}


def flipped(data, masks=(0x01, 0x20)):
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


# fits


def some_fits():
    X, y, _, _ = problem(30, 2)
    holed = np.column_stack([X, np.ones(30)])
    return {
        "plain": linreg_fast.fit(X, y, feature_names=["a", "ü"]),
        "targets": linreg_fast.fit(X, np.column_stack([y, -y])),
        "gd": linreg_fast.fit(X, y, solver="gd", max_iter=30),
        "constant": linreg_fast.fit(holed, y).__replace__(left_out={"name": "text"}, n_dropped=3),
        "polynomial": linreg_fast.fit_polynomial(X[:, 0], y * 1e200, 2),
    }


def state_of(fit):
    """Every bit of it but the plan's."""
    return json.dumps(fit.to_dict())


@pytest.mark.parametrize("kind", some_fits())
def test_damaged_fits_are_refused_by_name_or_the_same(tmp_path, kind):
    fit, path = some_fits()[kind], tmp_path / "fit.json"
    fit.save(path)
    data = path.read_bytes()
    assert state_of(LinearFit.load(path)) == state_of(fit)
    refused = 0
    for wrong in flipped(data):
        path.write_bytes(wrong)
        error = None
        try:
            found = LinearFit.load(path)
        except ValueError as raised:
            error = str(raised)
        if error is None:
            assert state_of(found) == state_of(fit)  # an exponent is written as E, say
        else:
            assert str(path) in error
            refused += 1
    assert refused > 1.9 * len(data)
    for size in range(0, len(data), 3):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"fit\.json(: | is not JSON)"):
            LinearFit.load(path)


def test_a_digit_that_was_changed_is_told(tmp_path):
    path = tmp_path / "fit.json"
    some_fits()["plain"].save(path)
    state = json.loads(path.read_text(encoding="utf-8"))
    assert LinearFit.from_dict(state).to_dict() == {name: state[name] for name in state if name != "checksum"}
    changed = state | {"rss": state["rss"] * (1 + 2**-52)}
    for wrong in (changed, state | {"checksum": None}, state | {"checksum": "0" * 32}, state | {"new": 1}):
        path.write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(ValueError, match="checksum does not fit"):
            LinearFit.load(path)
        with pytest.raises(ValueError, match="checksum does not fit"):
            LinearFit.from_dict(wrong)
    # the layout and the order of the fields are free, and whoever changes a state leaves the checksum out
    path.write_text(json.dumps(dict(reversed(state.items()))), encoding="utf-8")
    assert LinearFit.load(path).to_dict() == some_fits()["plain"].to_dict()
    del changed["checksum"]
    assert LinearFit.from_dict(changed).rss == changed["rss"]
    path.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(ValueError, match=r"fit\.json: not a whole linreg_fast.LinearFit: checksum is missing"):
        LinearFit.load(path)


def test_true_and_texts_are_no_numbers():
    """Nor is one among numbers."""
    for kind, fit in some_fits().items():
        state = fit.to_dict()
        for name, value in state.items():
            for wrong in (True, False, "1.0"):
                put = [value] if type(value) in (int, float) else []
                if isinstance(value, list) and value and type(value[0]) in (int, float):
                    put = [value, *([*value[:i], None, *value[i + 1 :]] for i in range(len(value)))]
                for base in put:
                    if isinstance(base, list):
                        base = [wrong if v is None else v for v in base] if None in base else [wrong] * len(base)
                    else:
                        base = wrong
                    with pytest.raises(
                        ValueError, match=rf"not a whole linreg_fast.LinearFit: {name} cannot be|version"
                    ):
                        LinearFit.from_dict({**state, name: base})
        if kind == "targets":
            coef = [[True, *state["coef"][0][1:]], state["coef"][1]]
            with pytest.raises(ValueError, match="coef cannot be"):
                LinearFit.from_dict({**state, "coef": coef})


def test_what_is_long_or_deep_is_refused_in_a_short_message():
    state = some_fits()["plain"].to_dict()
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for wrong in (deep, "x" * 10**6, ["x" * 10**6] * 10, 10**4000, {str(i): i for i in range(10**5)}):
        with pytest.raises(ValueError, match="coef cannot be") as raised:
            LinearFit.from_dict({**state, "coef": wrong})
        assert len(str(raised.value)) < 1000
        with pytest.raises(ValueError, match="checksum does not fit"):
            LinearFit.from_dict({**state, "coef": wrong, "checksum": "0"})
    while deep:
        deep = deep.pop()  # one by one: to forget them all at once is a recursion too


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_full_disk_leaves_the_fit_before(tmp_path, monkeypatch, step):
    path = tmp_path / "fit.json"
    old, new = some_fits()["plain"], some_fits()["gd"]
    old.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="the fit was not written") as raised:
        new.save(str(path))
    assert raised.value.filename == str(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["fit.json"]
    monkeypatch.undo()
    (tmp_path / "fit.json.new").write_bytes(before * 3)  # of a write that was killed
    new.save(os.fsencode(path))
    assert state_of(LinearFit.load(path)) == state_of(new)
    assert [file.name for file in tmp_path.iterdir()] == ["fit.json"]
