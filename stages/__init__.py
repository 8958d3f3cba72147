"""One thin command per stage of the pipeline: read params, call src, write outputs.

`src` of the running checkout comes first on the path, so that a queued experiment runs the code it was queued with.
Ctrl-C while a command still imports ends it as later on: without a traceback. What a command says comes line by line,
into a file or a pipe as well, and with ? for letters that a terminal does not have.
"""

import sys
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

if isinstance(sys.stdout, TextIOWrapper):
    sys.stdout.reconfigure(line_buffering=True, errors="replace")


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("\nAborted!", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _tell
