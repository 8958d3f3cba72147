"""Score EPIC-KITCHENS-100's challenges, and answer them."""

from __future__ import annotations

from pathlib import Path

import click

from stages._common import MODELS, PARAMS, SAMPLES, SHARDS, SUBMISSIONS, Stage, load_all, raw_root

REGIMES = ("single", "multi", "egopack")


@click.command(cls=Stage)
@click.option("--regime", type=click.Choice(REGIMES), help="Whose models; egopack, or single where no pack helps.")
@click.option("--test", is_flag=True, help="Answer the test split, instead of scoring the validation split.")
@click.option("--out", default=SUBMISSIONS, show_default=True, type=click.Path(path_type=Path), help="Folder to write.")
def main(regime: str | None, test: bool, out: Path) -> str:
    """Say what the challenges action_recognition and action_detection ask of the validation split, and print the
    official scorers' metrics: of all segments, of tail classes, of people that training never saw. They are written to
    OUT/epic_scores.json, the submissions beside them, so that both can be looked into.

    With --test the test split is answered: OUT/action_recognition.zip and OUT/action_detection.zip, each with a
    test.json of version 0.2 that has what EPIC_100_test_timestamps.csv asks for, and nothing else. `submission` in
    params.yaml says the levels of supervision (sls_pt, sls_tl, sls_td), which a server wants to know.

    After `dvc repro` with params.epic.yaml. Actions of detection are pairs of what the tasks with `annotations: verbs`
    and `nouns` find: src/egopack/footage/README.md has the rule.
    """
    params = load_all()
    from egopack.data.shard_reader import FeatureShards
    from egopack.evaluation.epic_answers import Models, answer
    from egopack.runtime.device import set_up

    device = set_up(params.runtime, params.seed)
    pack = params.comparison.multi_pack or ""

    def trained(task: str) -> Path:
        which = regime or ("egopack" if task in params.helped_by else "single")
        return MODELS / which / (pack if which == "multi" else task)

    models = Models(params, PARAMS, trained, SAMPLES, FeatureShards(SHARDS), device)
    text, written = answer(models, raw_root(params), out, test=test)
    click.echo(text, nl=False)
    return ", ".join(map(str, written))


if __name__ == "__main__":
    main()
