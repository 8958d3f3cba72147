"""Features of a video: rows of an encoder, taken up again where they were stopped, and then predicted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from egopack.commands.main import main
from egopack.errors import UserError
from egopack.inference.encoders import load_encoder, tiny
from egopack.inference.extract import extract
from egopack.inference.video import Video
from egopack.params import FeatureSet
from tests.support import small
from tests.support.released import released
from tests.support.videos import write_video

GRID = FeatureSet(size=2)


def mean_and_first(frames: Tensor) -> Tensor:
    """Gray levels tell the numbers of frames."""
    level = frames[..., 0].float().mean(dim=(2, 3))
    return torch.stack([level.mean(1), level[:, 0]], dim=1)


class Counting:
    """The encoder, which stops after so many calls."""

    def __init__(self, calls: int) -> None:
        self.left, self.windows = calls, 0

    def __call__(self, frames: Tensor) -> Tensor:
        if not self.left:
            raise KeyboardInterrupt
        self.left, self.windows = self.left - 1, self.windows + len(frames)
        return mean_and_first(frames)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "kitchen.mkv", 200)


def run(path: Path, out: Path, encoder: object = mean_and_first, **more: object) -> int | None:
    settings = {"named": "mine", "batch": 3, "short_side": 0} | more
    return extract(Video(path, GRID.fps), out, encoder, GRID, **settings)  # type: ignore[arg-type]


def test_rows_are_those_of_the_windows(video: Path, tmp_path: Path) -> None:
    assert run(video, tmp_path / "out/kitchen.npy") == 13
    first = [*range(0, 192, 16), 184]
    rows = np.load(tmp_path / "out/kitchen.npy")
    assert rows.dtype == np.float32
    assert rows[:, 1].tolist() == first
    assert rows[:, 0].tolist() == [n + 7.5 for n in first]
    said = json.loads((tmp_path / "out/kitchen.json").read_text())
    assert {key: said[key] for key in ("stride", "window", "fps", "size", "encoder", "rows")} == {
        **{"stride": 16, "window": 16, "fps": 30.0, "size": 2, "encoder": "mine"},
        "rows": 13,
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"kitchen.npy", "kitchen.json"}


@pytest.mark.parametrize("stopped_after", [0, 1, 3])
def test_what_was_stopped_goes_on_where_it_was(stopped_after: int, video: Path, tmp_path: Path) -> None:
    run(video, tmp_path / "whole.npy")
    with pytest.raises(KeyboardInterrupt):
        run(video, tmp_path / "a.npy", Counting(stopped_after))
    assert not (tmp_path / "a.npy").exists()
    if stopped_after:  # as if it had been killed in the midst of writing
        with (tmp_path / "a.rows").open("ab") as file:
            file.write(b"xyz")
    rest = Counting(100)
    assert run(video, tmp_path / "a.npy", rest) == 13
    assert rest.windows == 13 - 3 * stopped_after
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_what_is_there_is_not_made_again_unless_anything_changed(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.npy"
    assert run(video, out) == 13
    assert run(video, out, Counting(0)) is None
    assert run(video, out, named="another") == 13
    assert run(video, out, named="another", short_side=12) == 13
    write_video(video, 210)
    assert run(video, out, named="another", short_side=12) == 14


def test_the_rows_of_another_encoder_are_not_gone_on_with(video: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(video, tmp_path / "a.npy", Counting(2))
    rest = Counting(100)
    run(video, tmp_path / "a.npy", rest, named="another")
    assert rest.windows == 13


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda frames: mean_and_first(frames)[:1], r"gives \[1, 2\] for 3 windows, expected \[3, D\]"),
        (lambda frames: frames, r"gives \[3, 16, 24, 32, 3\] for 3 windows"),
        (lambda frames: None, "gives NoneType for 3 windows"),
        (lambda frames: mean_and_first(frames) / 0, "gives NaN or Inf"),
        (lambda frames: torch.ones(len(frames), 3), "gives rows of 3 numbers, but the model wants 2"),
    ],
)
def test_encoders_that_give_something_else(encoder: object, message: str, video: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        run(video, tmp_path / "a.npy", encoder)


class Scripted(torch.nn.Module):
    def forward(self, frames: Tensor) -> Tensor:
        return frames.float().mean(dim=(1, 2, 3))


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_encoders_of_files(suffix: str, tmp_path: Path) -> None:
    path, frames = tmp_path / f"encoder{suffix}", torch.randint(0, 256, (3, 16, 8, 8, 3), dtype=torch.uint8)
    if suffix == ".pt":
        torch.jit.script(Scripted()).save(str(path))
    else:
        several = torch.export.Dim("several", min=1, max=64)
        torch.export.save(torch.export.export(Scripted(), (frames,), dynamic_shapes=({0: several},)), path)
    assert torch.allclose(load_encoder(str(path), "cpu")(frames[:2]), Scripted()(frames[:2]))
    path.write_bytes(b"no program")
    with pytest.raises(UserError, match="torch cannot load it"):
        load_encoder(str(path), "cpu")


def test_encoders_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_encoder_of_tests.py").write_text("def encode(frames):\n    return frames.float().mean((1, 2, 3))\n")
    frames = torch.ones(2, 16, 4, 4, 3, dtype=torch.uint8)
    assert load_encoder("my_encoder_of_tests:encode", "cpu")(frames).tolist() == [[1, 1, 1]] * 2
    for named, message in (
        ("my_encoder_of_tests:other", "has no function 'other'"),
        ("no_module_of_that_name:x", "No module named"),
        ("encode", "expected module:function"),
        ("nothing.pt2", "no such file"),
    ):
        with pytest.raises(UserError, match=message):
            load_encoder(named, "cpu")


def test_the_tiny_encoder_tells_frames_apart_and_has_fixed_weights() -> None:
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (5, 16, 24, 32, 3), dtype=torch.uint8, generator=generator)
    rows = tiny(frames)
    assert rows.shape == (5, 64)
    assert torch.equal(rows[1:2], tiny(frames[1:2]))
    assert len(torch.unique(rows, dim=0)) == 5
    assert not torch.allclose(tiny(frames.flip(1)), rows)
    assert abs(float(tiny(torch.full((1, 16, 8, 8, 3), 100, dtype=torch.uint8)).sum()) - 6.7652) < 1e-3


def command(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_from_a_video_to_a_timeline(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(small, "WIDTH", 64)
    released(Path("model"), "ar", "mq", sets={"tiny": FeatureSet(size=64)})
    done = command("extract", "kitchen.mkv", "--model", "model", "--out", "features")
    assert done.exit_code == 0, done.output
    assert done.output == "features/kitchen.npy: 13 rows of kitchen.mkv\n"
    assert command("extract", ".", "--model", "model", "--out", "features").output.endswith(" is there already\n")
    done = command("predict", "model", "features", "--out", "out.json", "--html", "t.html", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert set(json.loads(Path("out.json").read_text())) == {"kitchen"}
    done = command("extract", "kitchen.mkv", "--stride", "8", "--out", "denser")
    assert done.exit_code == 0, done.output
    done = command("predict", "model", "denser", "--out", "out.json")
    assert done.output.startswith(
        "Error: denser/kitchen.json: stride: 8, but the model wants 'tiny' (rows of 64 numbers"
    )


def test_what_cannot_be_extracted_is_one_line(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    released(Path("model"), "ar")
    Path("other").mkdir()
    write_video(Path("other/kitchen.mkv"), 20)
    for arguments, message in (
        (("kitchen.mkv", "--model", "model"), "Error: --encoder: gives rows of 64 numbers, but the model wants 6\n"),
        (("kitchen.mkv", "--model", "model", "--set", "b"), "Error: --set: 'b': model has the feature sets egovlp\n"),
        (("nothing.mkv",), "Error: nothing.mkv: no such video\n"),
    ):
        assert command("extract", *arguments, "--out", "out").output == message
    done = command("extract", "kitchen.mkv", "other", "--out", "out")
    assert "Error: other/kitchen.mkv: has the name of kitchen.mkv;" in done.output
