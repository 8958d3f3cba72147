"""The notebook is run as a user runs it, cell by cell in a kernel, and is committed without what it showed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "stages/quickstart.ipynb"


def written() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_is_committed_without_outputs() -> None:
    nbformat.validate(written())
    assert NOTEBOOK.stat().st_size < 100_000
    for cell in written().cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.slow
def test_trains_one_task_and_draws_a_timeline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in ("EGO4D_ROOT", "DVC_ROOT", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    notebook = written()
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [one.text for one in outputs if one.output_type == "stream" and one.name == "stderr"] == []
    shown = [one.data for one in outputs if one.output_type == "execute_result"]
    chance, single = (float(number) for number in re.findall(r": ([\d.]+)", shown[0]["text/plain"]))
    assert single > 3 * chance
    assert "figure class=&quot;timeline&quot;" in shown[1]["text/html"]
    assert shown[2]["text/html"].count("<td>mq</td>") == 5
