"""Checkpoints of published/: what their weights give, and that nothing in them is run."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from egopack.data.moving import move
from egopack.errors import UserError
from egopack.model.checkpoint import load_checkpoint
from egopack.model.network import Network
from egopack.published.checkpoint import backbone_name, import_published, read_parts, task_name
from egopack.published.torch_archive import Stub, read_foreign
from stages.import_checkpoint import main
from tests.parity.conftest import our_name, pyramid_of, read


@pytest.fixture
def checkpoint(parity_dir: Path) -> Path:
    return sorted((parity_dir / "published").glob("*.pth"))[0]


def test_every_published_fixture_has_a_test(parity_dir: Path) -> None:
    files = {path.name for path in (parity_dir / "published").iterdir()}
    stems = {name.removesuffix(".pth") for name in files if name.endswith(".pth")}
    assert stems
    assert files == {f"{stem}{end}" for stem in stems for end in (".pth", ".npz")} | {"published_keys.json"}


@pytest.mark.paths("published/*.pth")
def test_outputs(path: Path, request: pytest.FixtureRequest, code_path: str) -> None:
    fixture = read(path.with_suffix(".npz"), request.config.getoption("parity_device"))
    network = import_published(path).to(fixture.device)
    pyramid = pyramid_of(fixture.arrays["in/pos"], fixture.arrays["in/video"], fixture.meta["levels"])
    with torch.no_grad():
        nodes = torch.cat(network.backbone(fixture.tensor("in/x"), move(pyramid, fixture.device)))
        fixture.check("x", nodes)
        necks = {name.removeprefix("out/") for name in fixture.arrays if name.startswith("out/")} - {"x"}
        assert necks == set(network.task)
        for name in necks:
            fixture.check(name, network.head(name).neck(nodes))


class Swallow:
    """Takes whatever torch hands to an object of a class that is not there."""

    def __new__(cls, *arguments: Any) -> Swallow:
        return super().__new__(cls)

    def __init__(self, *arguments: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...

    def add(self, value: Any) -> None: ...


@pytest.mark.paths("published/*.pth")
def test_weights_are_those_of_torch(path: Path) -> None:
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    with torch.serialization.safe_globals([(type(name, (Swallow,), {}), name) for name in unsafe]):
        content = torch.load(path, weights_only=True, map_location="cpu")
    own = read_parts(path)
    assert {"model", *(name.rsplit("/", 1)[-1] for name in content["task"])} == set(own)
    for name, state in ({"model": content["model"]} | content["task"]).items():
        for key, value in state.items():
            torch.testing.assert_close(own[name.rsplit("/", 1)[-1]][key], value, rtol=0, atol=0)


@pytest.mark.paths("published/published_keys.json")
def test_names(path: Path) -> None:
    for part, names in json.loads(path.read_text()).items():
        rename = backbone_name if part == "model" else task_name
        assert {key: rename(key, names) for key in names} == {key: our_name(name) for key, name in names.items()}


@pytest.mark.paths("published/*.pth")
def test_command_writes_a_checkpoint_that_training_can_load(path: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        done = CliRunner().invoke(main, [str(path), "--out", str(tmp_path / folder)])
        assert done.exit_code == 0, done.output
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    expected, found = import_published(path).state_dict(), load_checkpoint(tmp_path / "a").state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_moment_queries_are_imported(tmp_path: Path, checkpoint: Path) -> None:
    keys = json.loads((checkpoint.parent / "published_keys.json").read_text())["task/ego4d/mq"]
    content = read_foreign(checkpoint)
    size, levels, classes = len(content["task"]["ego4d/ar"]["projector.net.4.bias"]), 3, 9
    hidden = len(content["model"]["proj.1.bias"])
    shapes = {"scales": (levels,), "projector.net.1.weight": (size, hidden), "classifier.cls.bias": (classes,)}
    shapes |= {"classifier.net.0.weight": (11, 2 * size), "classifier.net.3.weight": (11, 11)}
    shapes |= {
        "classifier.cls.weight": (classes, 11),
        "regressor.head.0.bias": (2,),
        "regressor.head.0.weight": (2, size),
    }
    shapes |= {f"classifier.net.{n}.{kind}": (11,) for n in (1, 4) for kind in ("weight", "bias")}
    shapes |= {f"classifier.net.{n}.bias": (11,) for n in (0, 3)}
    state = OrderedDict((key, torch.randn(shapes.get(key, (size, size) if _matrix(key) else (size,)))) for key in keys)
    content["task"]["ego4d/mq"] = state
    torch.save(plain(content), tmp_path / "mq.pth")
    network = import_published(tmp_path / "mq.pth")
    assert isinstance(network, Network)
    assert set(network.task) == {"ar", "lta", "oscc", "pnr", "mq"}
    assert network.spec.tasks["mq"].labels == {"moments": classes}
    own = network.head("mq").state_dict()
    for key, name in keys.items():
        assert torch.equal(own[our_name(name)], state[key]), key


def _matrix(key: str) -> bool:
    return bool(re.search(r"projector\.net\.[14]\.weight|regressor\.layers\.0\.0\.weight", key))


def plain(value: Any) -> Any:
    """Without stubs, so that it can be saved again."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if not isinstance(item, Stub)}
    return value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts["model"].pop("proj.1.weight"), "projection.0"),
        (lambda parts: parts["model"].pop("layers.1.module_1.lin_root.weight"), r"level\.1\.conv\.0\.root\.weight"),
        (lambda parts: parts["model"].update(extra=torch.ones(1)), "1 unknown keys: extra"),
        (lambda parts: parts["task"]["ego4d/ar"].pop("projector.net.2.bias"), r"task\.ar\.neck\.norm\.bias"),
        (
            lambda parts: parts["task"]["ego4d/ar"].update({"projector.net.9.bias": torch.ones(1)}),
            r"projector\.net\.9\.bias",
        ),
        (lambda parts: parts["model"].update({"proj.1.bias": torch.ones(98)}), "do not fit"),
        (lambda parts: parts["model"]["proj.1.bias"].fill_(torch.nan), r"1 of \d+ tensors hold NaN or Inf: backbone\."),
        (
            lambda parts: parts["model"].update({"proj.1.bias": torch.ones(99)}),
            "hidden: Input should be a multiple of 2",
        ),
        (lambda parts: parts["model"].update({"proj.1.bias": torch.tensor(1.0)}), "weights of a shape that cannot be"),
        (lambda parts: parts["model"].update({"proj.1.weight": torch.ones(3)}), "weights of a shape that cannot be"),
        (lambda parts: parts["task"].update({"ego4d/juggling": {}}), "task 'ego4d/juggling'"),
        (lambda parts: parts.pop("model"), "it has no 'model'"),
        (lambda parts: parts.pop("task"), "it has no 'task'"),
        (lambda parts: parts["task"].update({"ego4d/ar": {"a": 3}}), "not a state dict of tensors: a"),
    ],
)
def test_wrong_keys_are_named(change: Callable[[Any], Any], message: str, checkpoint: Path, tmp_path: Path) -> None:
    content = plain(read_foreign(checkpoint))
    change(content)
    torch.save(content, tmp_path / "changed.pth")
    done = CliRunner().invoke(main, [str(tmp_path / "changed.pth"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert re.search(message, done.output), done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


class Calls:
    """An object whose pickle calls `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def archive(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED, **storages: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a/data.pkl", pickled)
        for name, content in storages.items():
            file.writestr(f"a/data/{name}", content)
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["open", "eval", "exec", "getattr", "os.mkdir", "torch.save", "torch.hub.load"])
def test_nothing_is_run(name: str, protocol: int, tmp_path: Path) -> None:
    module, _, attribute = name.rpartition(".")
    owner: Any = pytest.importorskip(module) if module else __builtins__
    function = getattr(owner, attribute) if module else owner[attribute]
    witness = tmp_path / "witness"
    arguments = {"exec": f"open({str(witness)!r}, 'w')", "eval": f"open({str(witness)!r}, 'w')"}
    evil = Calls(function, arguments.get(name, str(witness)), "w")
    content = {"model": OrderedDict(a=1), "evil": evil, "task": {}}
    found = read_foreign(archive(tmp_path / "evil.pth", pickle.dumps(content, protocol)))
    assert not witness.exists()
    assert isinstance(found["evil"], Stub)
    assert found["model"] == {"a": 1}


def test_modules_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap_module.py").write_text(f"open({str(tmp_path / 'witness')!r}, 'w')\nclass Trap: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = read_foreign(archive(tmp_path / "evil.pth", b"ctrap_module\nTrap\n)\x81}b."))
    assert isinstance(found, Stub)
    assert not (tmp_path / "witness").exists()


def reference(count: int, kind: bytes = b"FloatStorage") -> bytes:
    """A pickled reference to storage 0 of `count` numbers."""
    return (
        b"((X\x07\x00\x00\x00storagectorch\n"
        + kind
        + b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ"
        + count.to_bytes(4, "little")
        + b"tQ"
    )


def tensor(size: int, stride: int, offset: int = 0, count: int = 4) -> bytes:
    numbers = [b"J" + number.to_bytes(4, "little", signed=True) for number in (offset, size, stride)]
    rest = numbers[0] + b"(" + numbers[1] + b"t(" + numbers[2] + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + reference(count) + rest + b"tR."


def test_tensors_stay_inside_of_their_storage(tmp_path: Path) -> None:
    data = np.arange(4, dtype=np.float32).tobytes()
    good = read_foreign(archive(tmp_path / "good.pth", tensor(2, 2, 1), **{"0": data}))
    assert good.tolist() == [1.0, 3.0]
    cases = {"long": tensor(5, 1), "far": tensor(4, 1, 1), "wide": tensor(1 << 30, 0), "short": tensor(2, 1, count=5)}
    cases |= {"negative": tensor(2, -1, 2), "before": tensor(1, 1, -1)}
    for name, pickled in cases.items():
        with pytest.raises(UserError, match="not a whole checkpoint"):
            read_foreign(archive(tmp_path / f"{name}.pth", pickled, **{"0": data}))


def test_damage_is_named(checkpoint: Path, tmp_path: Path) -> None:
    whole = checkpoint.read_bytes()
    generator = np.random.default_rng(0)
    for cut in generator.integers(0, len(whole), 20).tolist():
        (tmp_path / "cut.pth").write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"cut\.pth: not"):
            import_published(tmp_path / "cut.pth")
    with zipfile.ZipFile(checkpoint) as file:
        pickled = next(file.read(name) for name in file.namelist() if name.endswith("data.pkl"))
    for _ in range(50):
        noisy = bytearray(pickled)
        noisy[int(generator.integers(len(noisy)))] ^= int(generator.integers(1, 256))
        with contextlib.suppress(UserError):  # any other exception would be a fault
            read_foreign(archive(tmp_path / "noisy.pth", bytes(noisy)))
    with pytest.raises(UserError, match="missing"):
        read_foreign(tmp_path / "missing.pth")
    with pytest.raises(UserError, match="compressed"):
        read_foreign(archive(tmp_path / "bomb.pth", pickle.dumps([0] * 10**6), zipfile.ZIP_DEFLATED))
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(2)}, buffer, _use_new_zipfile_serialization=False)
    (tmp_path / "old.pth").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="not a zip archive"):
        read_foreign(tmp_path / "old.pth")
