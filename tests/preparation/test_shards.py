from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import egopack.preparation.shards as shards_module
from egopack.data.shard_reader import VIDEOS
from egopack.ego4d.skips import Skips
from egopack.errors import UserError
from egopack.params import FeatureSet
from egopack.preparation.shards import FeatureShards, Written, write_shards

WIDTH = 6
SETS = {"f": FeatureSet(size=WIDTH)}


def corpus(root: Path, lengths: dict[str, int], name: str = "f", width: int = WIDTH) -> dict[str, np.ndarray]:
    """Feature files of the given lengths under `root`, and what they hold."""
    folder = root / "features" / name
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    videos = {uid: generator.standard_normal((rows, width)).astype(np.float32) for uid, rows in lengths.items()}
    for uid, values in videos.items():
        torch.save(torch.from_numpy(values), folder / f"{uid}.pt")
    return videos


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def raw(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    return tmp_path / "raw", corpus(tmp_path / "raw", {f"v{i}": 5 + i for i in range(10)})


Raw = tuple[Path, dict[str, np.ndarray]]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_are_those_of_the_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    root = tmp_path_factory.mktemp("shards")
    names = [f"u{i}" for i in range(6)]
    videos = corpus(root, {name: data.draw(st.integers(1, 12)) for name in names})
    storage = data.draw(st.sampled_from(["float16", "float32"]))
    shard_bytes = data.draw(st.integers(1, 1500))
    summary = write_shards(
        root, SETS, names, root / "out", skips=Skips(), storage=storage, shard_bytes=shard_bytes, workers=2
    )
    disk = FeatureShards(root / "out")
    assert (summary["videos"], summary["rows"], summary["width"]) == (6, sum(map(len, videos.values())), WIDTH)
    assert (disk.uids, disk.width, disk.dtype) == (tuple(names), WIDTH, np.dtype(storage))
    for reader in (disk, disk.resident(), pickle.loads(pickle.dumps(disk))):
        for uid, values in videos.items():
            stored = values.astype(storage)
            rows = np.array(data.draw(st.lists(st.integers(0, len(stored) - 1), max_size=8)), dtype=np.int64)
            first = data.draw(st.integers(0, len(stored)))
            count = data.draw(st.integers(0, len(stored) - first))
            assert reader.length(uid) == len(stored)
            np.testing.assert_array_equal(reader.rows(uid, rows), stored[rows])
            np.testing.assert_array_equal(reader.read(uid, first, count), stored[first : first + count])
            np.testing.assert_array_equal(reader.read(uid), stored)


def test_the_bytes_depend_on_neither_order_nor_threads_nor_place(tmp_path: Path, raw: Raw) -> None:
    root, videos = raw
    for name, uids, workers in (("a", list(videos), 1), ("b", [*reversed(videos), "v1"], 4)):
        write_shards(root, SETS, uids, tmp_path / name, skips=Skips(), shard_bytes=600, workers=workers)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(contents(tmp_path / "a")) > 4


def test_progress_counts_videos_to_the_last(tmp_path: Path, raw: Raw) -> None:
    root, videos = raw
    seen: list[tuple[int, int]] = []

    def run() -> None:
        seen.clear()
        uids = [*videos, "absent"]
        write_shards(
            root, SETS, uids, tmp_path / "out", skips=Skips(), progress=lambda done, total: seen.append((done, total))
        )

    run()
    assert seen == [(i, 11) for i in range(2, 12)]
    run()
    assert seen == []  # all are reused


def counted_writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the shards written from here on."""
    written: list[str] = []
    write = shards_module._Writer.write

    def counting(self: object, path: Path, *rest: object) -> object:
        written.append(path.name)
        return write(self, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(shards_module._Writer, "write", counting)
    return written


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path, raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    root, videos = raw
    out = tmp_path / "out"

    def write(progress: Callable[[int, int], None] | None = None) -> None:
        write_shards(root, SETS, videos, out, skips=Skips(), shard_bytes=600, progress=progress)

    write()
    whole = contents(out)

    def interrupt(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    for path in out.iterdir():
        path.unlink()
    with pytest.raises(KeyboardInterrupt):
        write(interrupt)
    left = set(contents(out))
    assert "videos.csv" not in left
    assert left < set(whole)
    with pytest.raises(UserError, match="the shards are not whole"):
        FeatureShards(out)

    (out / ".partial-1-abc.shard-00003.h5").write_bytes(b"what a killed run leaves")
    written = counted_writes(monkeypatch)
    write()
    assert sorted(written) == sorted(set(whole) - left - {"videos.csv"})
    assert contents(out) == whole


def test_a_shard_is_written_again_when_its_content_changes(
    tmp_path: Path, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, videos = raw
    out = tmp_path / "out"
    written = counted_writes(monkeypatch)

    def write(storage: str = "float32") -> list[str]:
        written.clear()
        write_shards(root, SETS, videos, out, skips=Skips(), shard_bytes=600, storage=storage)  # type: ignore[arg-type]
        return list(written)

    every = write()
    assert write() == []
    changed = np.flip(videos["v0"]).copy()
    torch.save(torch.from_numpy(changed), root / "features" / "f" / "v0.pt")  # of the same size
    assert write() == every[:1]
    np.testing.assert_array_equal(FeatureShards(out).read("v0"), changed)
    (out / every[-1]).write_bytes((out / every[-1]).read_bytes()[:-9])
    assert write() == every[-1:]
    assert len(write(storage="float16")) < len(every)
    assert len(list(out.glob("shard-*"))) == len(written)  # the spare ones are gone


def test_another_code_writes_every_shard_again_and_its_bytes_say_nothing_of_it(
    tmp_path: Path, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, videos = raw
    out, note = tmp_path / "out", tmp_path / "note.json"
    written = counted_writes(monkeypatch)

    def write(code: str) -> list[str]:
        written.clear()
        write_shards(root, SETS, videos, out, skips=Skips(), shard_bytes=600, written=Written(note, code))
        return list(written)

    every = write("a")
    of_a = contents(out)
    assert len(every) > 4
    assert write("a") == []
    assert write("b") == every
    assert contents(out) == of_a

    def doubling(self: object, *place: object) -> Iterator[tuple[int, np.ndarray, int]]:
        yield from ((at, rows * 2, bad) for at, rows, bad in blocks(self, *place))  # type: ignore[arg-type]

    blocks = shards_module.VideoFeatures.blocks
    with monkeypatch.context() as patched:
        patched.setattr(shards_module.VideoFeatures, "blocks", doubling)
        assert write("c") == every
        np.testing.assert_array_equal(FeatureShards(out).read("v0"), videos["v0"] * 2)
    of_c = contents(out)
    for name, data in of_a.items():  # what another code wrote comes back, as by `dvc checkout`
        (out / name).write_bytes(data)
    with monkeypatch.context() as patched:
        patched.setattr(shards_module.VideoFeatures, "blocks", doubling)
        assert write("c") == every
    assert contents(out) == of_c
    note.unlink()
    assert write("c") == every


def test_an_interrupted_rewrite_leaves_no_list_of_the_run_before(tmp_path: Path, raw: Raw) -> None:
    root, videos = raw

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    write_shards(root, SETS, videos, tmp_path / "out", skips=Skips(), shard_bytes=600)
    with pytest.raises(KeyboardInterrupt):
        write_shards(root, SETS, videos, tmp_path / "out", skips=Skips(), storage="float16", progress=interrupt)
    with pytest.raises(UserError, match="the shards are not whole"):
        FeatureShards(tmp_path / "out")


def test_several_sets_lie_side_by_side(tmp_path: Path) -> None:
    a = corpus(tmp_path, {"u": 9, "only_a": 4})
    b = corpus(tmp_path, {"u": 7, "only_b": 4}, name="g", width=2)
    skips = Skips()
    two = {**SETS, "g": FeatureSet(size=2, window=32)}
    summary = write_shards(tmp_path, two, ["u", "only_a", "only_b"], tmp_path / "out", skips=skips)
    files = summary.pop("files")
    assert summary == {"videos": 1, "rows": 7, "shards": 1, "width": 8}
    assert {name: one["found"] for name, one in files.items()} == {"f": 2, "g": 2}
    assert files["g"]["missing"] == {"video without a feature file of g": {"count": 1, "examples": ["only_a"]}}
    np.testing.assert_array_equal(FeatureShards(tmp_path / "out").read("u"), np.hstack([a["u"][:7], b["u"]]))
    assert skips.to_dict() == {
        "video without a feature file of f": {"count": 1, "examples": ["only_b"]},
        "video without a feature file of g": {"count": 1, "examples": ["only_a"]},
    }


def test_what_cannot_be_used_is_counted_and_named_on_every_run(tmp_path: Path, raw: Raw) -> None:
    root, videos = raw
    folder = root / "features" / "f"
    (folder / "v1.pt").write_bytes((folder / "v1.pt").read_bytes()[:200])
    torch.save(torch.zeros(4, WIDTH + 1), folder / "v2.pt")
    torch.save(torch.full((4, WIDTH), float("nan")), folder / "v3.pt")
    videos["v4"][2, 1] = np.inf
    torch.save(torch.from_numpy(videos["v4"]), folder / "v4.pt")
    (folder / "v5.pt").unlink()
    (folder / "v5.pt").mkdir()
    for _ in range(2):  # the second run reuses the shards
        skips = Skips()
        summary = write_shards(root, SETS, videos, tmp_path / "out", skips=skips, shard_bytes=900)
        assert summary["videos"] == 6
        files = summary["files"]["f"]
        assert files["found"] == 9  # a folder is not a file
        for kind in ("missing", "wrong size", "damaged"):
            assert [entry["count"] for entry in files[kind].values()] == [1]
        assert {reason: entry["examples"] for reason, entry in skips.to_dict().items()} == {
            "feature file that is cut short or not a plain tensor": ["f/v1.pt"],
            "feature file of another width than its set": ["f/v2.pt"],
            "video with NaN, Inf or overflow in more than half of its feature rows": ["v3"],
            "video with rows of NaN, Inf or overflow, set to zero": ["v4: 1 rows"],
            "video without a feature file of f": ["v5"],
        }
    reader = FeatureShards(tmp_path / "out")
    assert reader.uids == ("v0", "v4", "v6", "v7", "v8", "v9")
    videos["v4"][2] = 0
    for uid in reader.uids:
        np.testing.assert_array_equal(reader.read(uid), videos[uid])


def test_errors_say_what_to_do(tmp_path: Path, raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    root, videos = raw
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"data\.features\.f\.size is 7, but the files are 6 wide; set it to 6"):
        write_shards(root, {"f": FeatureSet(size=7)}, videos, out, skips=Skips())
    with pytest.raises(UserError, match=r"no video has features of f .*video without a feature file of f"):
        write_shards(root, SETS, ["absent"], out, skips=Skips())
    with pytest.raises(UserError, match="none was asked for"):
        write_shards(root, SETS, [], out, skips=Skips())
    usage = shards_module.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shards_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="the disk has 0 MB free; make room"):
        write_shards(root, SETS, videos, out, skips=Skips())


def test_reading_checks_video_and_rows(tmp_path: Path, raw: Raw) -> None:
    root, videos = raw
    write_shards(root, SETS, videos, tmp_path / "out", skips=Skips())
    reader = FeatureShards(tmp_path / "out")
    assert "v3" in reader
    assert "w" not in reader
    assert repr(reader).endswith("videos=10, width=6, dtype=float32)")
    with pytest.raises(KeyError, match="no video 'w'"):
        reader.read("w")
    for rows in ([5], [-1], [0, 99]):
        with pytest.raises(IndexError, match="of video 'v0', which has 5"):
            reader.rows("v0", np.array(rows))
    for first, count in ((0, 6), (-1, 2), (6, None), (3, -1)):
        with pytest.raises(IndexError, match="of video 'v0', which has 5"):
            reader.read("v0", first, count)
    assert reader.rows("v0", np.array([], dtype=np.int64)).shape == (0, WIDTH)
    reader.read("v0")[:] = 0  # a copy
    np.testing.assert_array_equal(reader.read("v0"), videos["v0"])


def test_damaged_shards_are_refused(tmp_path: Path, raw: Raw) -> None:
    root, videos = raw
    out = tmp_path / "out"
    write_shards(root, SETS, videos, out, skips=Skips(), shard_bytes=600)
    shard = out / "shard-00000.h5"
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"shard-00000\.h5: not a whole shard"):
        FeatureShards(out)
    shard.unlink()
    with pytest.raises(UserError, match="not a whole shard"):
        FeatureShards(out)
    for text in ("", "a,b\n", "video_uid,shard,start,length\nu,0,x,3\n", "video_uid,shard,start,length\nu,0\n"):
        (out / "videos.csv").write_text(text)
        with pytest.raises(UserError, match="not a list of videos"):
            FeatureShards(out)
    (out / "videos.csv").write_text("video_uid,shard,start,length\n")
    with pytest.raises(UserError, match="lists no video"):
        FeatureShards(out)


def _child(reader: FeatureShards, results: multiprocessing.Queue[float]) -> None:
    results.put(float(sum(reader.read(uid).sum() for uid in reader.uids)))


def test_a_reader_goes_to_forked_processes(tmp_path: Path, raw: Raw) -> None:
    root, videos = raw
    write_shards(root, SETS, videos, tmp_path / "out", skips=Skips(), shard_bytes=600)
    reader = FeatureShards(tmp_path / "out")
    expected = float(sum(reader.read(uid).sum() for uid in reader.uids))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=_child, args=(reader, results)) for _ in range(2)]
    for child in children:
        child.start()
    assert [results.get(timeout=20) for _ in children] == [expected, expected]
    for child in children:
        child.join()


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's account of mapped pages")
def test_only_the_pages_of_the_rows_asked_for_are_read(tmp_path: Path) -> None:
    corpus(tmp_path, {"u": 4000}, width=512)
    write_shards(tmp_path, {"f": FeatureSet(size=512)}, ["u"], tmp_path / "out", skips=Skips())
    reader = FeatureShards(tmp_path / "out")
    before = _mapped_kilobytes(tmp_path / "out")
    reader.rows("u", np.array([17, 3900]))
    touched = _mapped_kilobytes(tmp_path / "out") - before
    assert 0 < touched < 1000
    reader.read("u")
    assert _mapped_kilobytes(tmp_path / "out") - before >= 8000


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's account of what is read")
def test_nothing_but_the_rows_asked_for_is_fetched_from_the_disk(tmp_path: Path) -> None:
    videos = corpus(tmp_path, {"u": 16000}, width=512)
    write_shards(tmp_path, {"f": FeatureSet(size=512)}, ["u"], tmp_path / "out", skips=Skips())
    path = tmp_path / "out" / "shard-00000.h5"

    def forget() -> int:
        """Let the file be on the disk alone; what has been read until then."""
        with path.open() as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return _fetched_bytes()

    before = forget()
    path.read_bytes()
    if _fetched_bytes() == before:
        pytest.skip("this file system reads nothing from a disk")
    before = forget()
    reader = FeatureShards(tmp_path / "out")
    for rows in (np.arange(5000, 5590), np.array([17, 15900])):
        np.testing.assert_array_equal(reader.rows("u", rows), videos["u"][rows])
    np.testing.assert_array_equal(reader.read("u", 9000, 300), videos["u"][9000:9300])
    assert 892 * 512 * 4 <= _fetched_bytes() - before < 1.3 * 892 * 512 * 4


def _fetched_bytes() -> int:
    """What the system has read from disks for this process."""
    values = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(values["read_bytes"])


def _mapped_kilobytes(folder: Path) -> int:
    """Memory in which this process has pages of the files of `folder`."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            inside = str(folder) in line
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def test_a_video_that_fills_a_shard_exactly_belongs_to_it(tmp_path: Path) -> None:
    row = WIDTH * 4
    videos = corpus(tmp_path, {"a": 5, "b": 7, "c": 12, "d": 1})
    write_shards(tmp_path, SETS, videos, tmp_path / "out", skips=Skips(), shard_bytes=12 * row)
    lines = (tmp_path / "out" / VIDEOS).read_text().splitlines()[1:]
    assert lines == ["a,0,0,5", "b,0,5,7", "c,1,0,12", "d,2,0,1"]


def test_a_second_file_of_a_video_that_cannot_be_used_is_told_too(tmp_path: Path) -> None:
    corpus(tmp_path, {"a": 5, "b": 7})
    folder, skips = tmp_path / "features" / "f", Skips()
    (folder / "a.pt").write_bytes(b"damage")
    np.save(folder / "a.npy", np.ones((3, WIDTH), np.float32))
    write_shards(tmp_path, SETS, ["a", "b"], tmp_path / "out", skips=skips)
    assert {reason: entry["examples"] for reason, entry in skips.to_dict().items()} == {
        "feature file that is cut short or not a plain tensor": ["f/a.pt"],
        "video with two feature files, of which one is used": ["f/a.pt"],
    }
