"""Labels: ids of classes, and the names of the classes."""

from __future__ import annotations

UNLABELLED = -1  # the id where an annotator gave none, or one that the taxonomy lacks
Labels = dict[str, tuple[str, ...]]  # name of a set of classes -> its classes, in order of their ids
