"""One damage to a file, at random."""

from __future__ import annotations

import re

import numpy as np

TOKENS = (
    *(
        b"9" * 5000,
        b"-1",
        b"1e999",
        b"NaN",
        b"null",
        b"{}",
        b"[]",
        b'"\\ud800"',
        b"[" * 3000,
        b"1" + b"0" * 30,
        b"true",
    ),
    *(b"", b"\xff", b"\0", b"''", b"!!python/none", b"*a", b"&a ", b"\n", b"0.5", b"0x" + b"f" * 5000),
)
EDGES = (0, 1, 0x7F, 0x80, 0xFF)


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """The content with a bit, a byte, a number, a word or a stretch that is another; or cut, or with a part twice."""

    def place(room: int = 0) -> int:
        return int(generator.integers(max(len(content) - room, 1)))

    at, kind = place(), int(generator.integers(9))
    if kind == 0:
        return content[:at]
    if kind == 1:  # a bit
        return content[:at] + bytes([content[at] ^ (1 << int(generator.integers(8)))]) + content[at + 1 :]
    if kind == 2:  # a byte
        value = EDGES[int(generator.integers(len(EDGES)))] if generator.random() < 0.5 else generator.integers(256)
        return content[:at] + bytes([int(value)]) + content[at + 1 :]
    if kind == 3:  # a number of eight bytes
        value = int(generator.choice(np.array([0, 1, 2**31, 2**32, 2**40, 2**62, -1, -(2**31)])))
        return content[:at] + value.to_bytes(8, "little", signed=True) + content[at + 8 :]
    if kind == 4:  # zeros
        return content[:at] + bytes(min(64, len(content) - at)) + content[at + 64 :]
    if kind == 5:  # a stretch twice, or moved
        other, length = place(), int(generator.integers(1, 64))
        return content[:at] + content[other : other + length] + content[at + int(generator.integers(2)) * length :]
    if kind == 6:  # a stretch left out
        return content[:at] + content[at + int(generator.integers(1, 64)) :]
    words = list(re.finditer(rb"[\w.+-]+", content))
    if not words:
        return content[:at]
    word = words[int(generator.integers(len(words)))]
    return content[: word.start()] + TOKENS[int(generator.integers(len(TOKENS)))] + content[word.end() :]
