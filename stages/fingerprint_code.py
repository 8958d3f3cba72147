"""Note which code and params every stage's results depend on, so that a change reruns what it reaches."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import click

import stages
from stages._common import CODE, Stage, load_all
from stages._inputs import NO_RESULT, ROOT, Reads, code, values


@click.command(cls=Stage)
def main() -> None:
    """Write data/code: for every stage, a digest of the code that it runs and the values of the params that it reads.

    Code counts definition by definition, as far as the stage reaches it; layout, comments and docstrings do not. Of the
    compiled module those sources count whose functions are called; one that was built from other sources than the
    checkout's is refused. `git diff data/code` tells why a stage runs again.
    """
    from egopack.files import sha256, write_json
    from egopack.provenance.closure import Closure
    from egopack.runtime.native_sources import check_built, sources_of

    native = ROOT / "src" / "native"
    check_built(native)
    params, everything = load_all(), code()
    written = set()
    for stage, reads in sorted(inputs().items()):
        for key in reads.keys(params):
            unused = [*NO_RESULT]
            for symbol, switch in reads.optional.items():
                (value,) = values(params, reads.names((switch,), params, key)).values()
                module, _, name = symbol.rpartition(".")
                unused += [] if value else [(module, name)]
            tasks, built = (
                [f"egopack.tasks.{task}" for task in reads.names(names, params, key)]
                for names in (reads.tasks, reads.built)
            )
            closure = Closure(everything, f"stages.{stage}", tasks, built, unused)
            note = {
                "code": closure.digests(),
                "compiled": {file.name: sha256(file) for file in sources_of(closure.compiled, native)},
                "params": values(params, reads.names(reads.params, params, key)),
            }
            path = CODE / stage / f"{key}.json" if key else CODE / f"{stage}.json"
            write_json(path, note)
            written.add(path)
    remove_others(CODE, written)
    click.echo(f"{CODE}: {len(written)} stages")


def inputs() -> dict[str, Reads]:
    """What each stage says it reads."""
    modules = {one.name: importlib.import_module(f"stages.{one.name}") for one in pkgutil.iter_modules(stages.__path__)}
    return {name: module.READS for name, module in modules.items() if hasattr(module, "READS")}


def remove_others(folder: Path, kept: set[Path]) -> None:
    """Remove the notes of stages that params.yaml no longer has."""
    for path in folder.rglob("*.json"):
        if path not in kept:
            path.unlink()


if __name__ == "__main__":
    main()
