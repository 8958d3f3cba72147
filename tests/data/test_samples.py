from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from egopack.data.samples import Sample, read_samples, write_samples
from egopack.errors import UserError

DTYPES = (np.float32, np.float64, np.float16, np.int64, np.int32, np.uint8, np.bool_)


@st.composite
def samples_of_one_task(draw: st.DrawFn) -> list[Sample]:
    names = st.text("abcz_", min_size=1, max_size=5)
    forms = st.tuples(st.sampled_from(DTYPES), st.sampled_from([(), (2,), (3, 1), (0,)]))
    columns, metadata = draw(st.tuples(*[st.dictionaries(names, forms, max_size=3)] * 2))
    texts, pooled = draw(st.sets(names, max_size=2)), draw(st.booleans())
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    keys = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), unique=True, max_size=5))
    out = []
    for key in keys:
        count = draw(st.integers(0, 6))
        rows = draw(hnp.arrays(np.int64, count))
        pos = draw(hnp.arrays(np.float32, count))
        arrays = [
            {
                name: draw(hnp.arrays(dtype, (draw(st.integers(0, 4)), *trailing)))
                for name, (dtype, trailing) in kind.items()
            }
            for kind in (columns, metadata)
        ]
        segments = draw(hnp.arrays(np.float32, (draw(st.integers(0, 3)), 2))) if pooled else None
        said = {name: tuple(draw(st.lists(text, max_size=3))) for name in texts}
        uid = draw(st.text("ab-ü\0", max_size=4))
        out.append(Sample(key, uid, rows, pos, arrays[0], segments, arrays[1], said))
    return out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples_of_one_task())
def test_what_is_written_is_read(tmp_path: Path, samples: list[Sample]) -> None:
    write_samples(tmp_path / "s.h5", samples)
    found = read_samples(tmp_path / "s.h5")
    assert [(s.key, s.video_uid) for s in found] == [(s.key, s.video_uid) for s in samples]
    for got, expected in zip(found, samples, strict=True):
        assert len(got) == len(expected)
        assert (got.rows.dtype, got.pos.dtype) == (np.int64, np.float32)
        np.testing.assert_array_equal(got.rows, expected.rows)
        np.testing.assert_array_equal(got.pos, expected.pos)
        assert (got.segments is None) == (expected.segments is None)
        if expected.segments is not None:
            np.testing.assert_array_equal(got.segments, expected.segments)
        for read, written in ((got.targets, expected.targets), (got.metadata, expected.metadata)):
            assert read.keys() == written.keys()
            for name, value in written.items():
                assert read[name].dtype == value.dtype
                np.testing.assert_array_equal(read[name], value)
        assert got.texts == expected.texts


def example(key: str = "c#3", more: dict[str, Any] | None = None, **targets: Any) -> Sample:
    return Sample(key, "u", np.array([4, 5]), np.array([0.1, 0.2], np.float32), targets, **more or {})


def test_the_bytes_depend_on_the_samples_alone(tmp_path: Path) -> None:
    digests = set()
    for name, order in (("a", ("x", "y")), ("bb", ("y", "x"))):
        targets = {key: np.full((2, 2), ord(key)) for key in order}
        more = {"metadata": targets, "texts": {key: (key,) for key in order}, "segments": np.zeros((3, 2))}
        write_samples(tmp_path / f"{name}.h5", [example(more=more, **targets), example("d", more, **targets)])
        digests.add(hashlib.sha256((tmp_path / f"{name}.h5").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_positions_and_rows_take_their_types(tmp_path: Path) -> None:
    write_samples(tmp_path / "s.h5", [Sample("k", "u", np.array([1], np.int32), np.array([0.1]), {})])
    (found,) = read_samples(tmp_path / "s.h5")
    assert (found.rows.dtype, found.pos.dtype, found.pos[0]) == (np.int64, np.float32, np.float32(0.1))


def test_what_is_read_cannot_be_changed(tmp_path: Path) -> None:
    write_samples(tmp_path / "s.h5", [example(verb=np.arange(3))])
    with pytest.raises(ValueError, match="read-only"):
        read_samples(tmp_path / "s.h5")[0].targets["verb"][0] = 1


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([example(), example()], "two samples have the key 'c#3'"),
        ([Sample("k", "u", np.arange(2), np.zeros(3, np.float32), {})], r"\(2,\) and \(3,\), expected \[n\] both"),
        ([Sample("k", "u", np.zeros((2, 2)), np.zeros((2, 2)), {})], r"\(2, 2\) and \(2, 2\)"),
        ([example(a=np.zeros(1)), example("d", b=np.zeros(1))], r"sample 'd': targets \['b'\], the first has others"),
        ([example(a=np.zeros(1)), example("d", a=np.zeros(1, int))], "'a' is int64 .*float64"),
        ([example(a=np.zeros((1, 2))), example("d", a=np.zeros((1, 3)))], r"'a' is float64 \(1, 3\)"),
        ([example(a=np.float32(3))], "targets 'a' must be an array of numbers"),
        ([example(a=np.array(["x"]))], "targets 'a' must be an array of numbers"),
        ([example(**{"a/b": np.zeros(1)})], "targets 'a/b' must have a name that HDF5 takes"),
        ([example(more={"texts": {"": ()}})], "texts '' must have a name that HDF5 takes"),
        ([example(more={"metadata": {"a": np.array(["x"])}})], "metadata 'a' must be an array of numbers"),
        ([example(), example("d", {"texts": {"t": ()}})], r"sample 'd': texts \['t'\], the first has others"),
        ([example(), example("d", {"segments": np.zeros((1, 2))})], "sample 'd': either all samples have segments or"),
        ([example(more={"segments": np.zeros((2, 3))})], r"segments are \(2, 3\), expected \[S, 2\]"),
    ],
)
def test_samples_that_do_not_fit_together_are_refused(tmp_path: Path, samples: list[Sample], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_samples(tmp_path / "s.h5", samples)
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with pytest.raises(UserError, match="no such file; run the stage"):
        read_samples(path)
    write_samples(path, [example(verb=np.arange(300))])
    content = path.read_bytes()
    for torn in (b"", b"no HDF5", content[: len(content) // 2]):
        path.write_bytes(torn)
        with pytest.raises(UserError, match="not a whole file of samples"):
            read_samples(path)
    path.unlink()
    with h5py.File(path, "w") as file:
        file["other"] = 3
    with pytest.raises(UserError, match="not a whole file of samples"):
        read_samples(path)
