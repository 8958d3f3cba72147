"""Write the params reference and the JSON schema of params.yaml."""

from __future__ import annotations

from pathlib import Path

import click

from stages._common import Stage

PAGE = Path("src/egopack/params/README.md")
SCHEMA = Path("params.schema.json")


def described() -> dict[Path, str]:
    """What the two files have to hold, for all tasks of the checkout."""
    import json
    import pkgutil

    from egopack import tasks
    from egopack.params.reference import page, schema
    from egopack.tasks.base import block_model, load_task

    names = sorted(module.name for module in pkgutil.iter_modules(tasks.__path__) if module.name != "base")
    known = {name: block_model(load_task(name)) for name in names}
    return {PAGE: page(known), SCHEMA: json.dumps(schema(known), indent=1, ensure_ascii=False) + "\n"}


@click.command(cls=Stage)
@click.option("--check", is_flag=True, help="Write nothing; exit status 1 if one of the files is out of date.")
def main(check: bool) -> None:
    """Write the reference page src/egopack/params/README.md and params.schema.json, which editors read.

    Both are made from the fields of the params models and of the tasks.
    """
    stale = {
        path: text
        for path, text in described().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    if check and stale:
        raise click.ClickException(
            f"out of date: {', '.join(map(str, stale))}; run python -m stages.describe_params and commit what it writes"
        )
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
        click.echo(f"{path}: written")


if __name__ == "__main__":
    main()
