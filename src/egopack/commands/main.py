"""The command line `egopack`."""

from __future__ import annotations

import click

from egopack.commands import export, extract, predict


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="egopack")
def main() -> None:
    """Hier-EgoPack: trained models of first-person video, at work on videos of your own."""


main.add_command(export.main, "export")
main.add_command(extract.main, "extract")
main.add_command(predict.main, "predict")
