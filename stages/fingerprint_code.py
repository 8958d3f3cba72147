"""Note which code and params every stage's results depend on, so that a change reruns what it reaches."""

from __future__ import annotations

import click

from stages._common import CODE, CONSULTED, METRICS, PARAMS, PROTOTYPES, SCRATCH, Stage, load_all, original
from stages._inputs import ROOT, code, inputs, note, sources

REMEMBERED, REMEMBERED_MOST = "notes.json", 8  # notes of the last files, since experiments go back and forth


@click.command(cls=Stage)
def main() -> str:
    """Write data/code: for every stage, a digest of the code that it runs and the values of the params that it reads.

    Code counts definition by definition, as far as the stage reaches it; layout, comments and docstrings do not. Of the
    compiled module those sources count whose functions are called; one that was built from other sources than the
    checkout's is refused. `git diff data/code` tells why a stage runs again.
    """
    from egopack.errors import UserError
    from egopack.files import read_json, write_json, write_json_files
    from egopack.runtime.native_sources import check_built

    check_built(ROOT / "src" / "native")
    memory, files = original(SCRATCH) / REMEMBERED, sources(PARAMS)
    try:
        known = {of: dict(notes) for of, notes in read_json(memory)}
    except (UserError, ValueError, TypeError):  # none, or damaged
        known = {}
    if files not in known:
        params, everything = load_all(), code()
        notes = {
            f"{stage}/{key}" if key else stage: note(stage, reads, params, key, everything)
            for stage, reads in inputs().items()
            for key in reads.keys(params)
        }
        known = dict([*known.items(), (files, notes)][-REMEMBERED_MOST:])
        write_json(memory, [[of, notes] for of, notes in known.items()])
    notes = known[files]
    write_json_files(CODE, notes)
    for regime in ("multi", "egopack"):  # stages depend on these folders also where no stage writes there
        for folder in (CODE / f"train_{regime}", METRICS / regime, CONSULTED, PROTOTYPES):
            folder.mkdir(parents=True, exist_ok=True)
    return f"{CODE}: {len(notes)} stages"


if __name__ == "__main__":
    main()
