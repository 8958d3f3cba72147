"""One thin command per stage of the pipeline: read params, call src, write outputs.

`src` of the running checkout comes first on the path, so that a queued experiment runs the code it was queued with.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
