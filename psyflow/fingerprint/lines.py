"""The logical lines of a part, and which of them differ: formatting makes no difference."""

from __future__ import annotations

import difflib
import io
import itertools
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

from psyflow.fingerprint.parts import Part

__all__ = ["Line", "logical_lines", "opcodes"]

_SHOWN_WIDTH = 72
_NO_CONTENT = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line: its number in the file, its text, and the tokens that count."""

    number: int
    text: str
    tokens: str

    def show(self, position: int) -> str:
        """Give the part of the text around `position` that fits into one line."""
        if len(self.text) <= _SHOWN_WIDTH:
            return self.text
        start = max(0, min(position - _SHOWN_WIDTH // 3, len(self.text) - _SHOWN_WIDTH))
        end = start + _SHOWN_WIDTH
        return f"{'…' * (start > 0)}{self.text[start:end]}{'…' * (end < len(self.text))}"


def logical_lines(part: Part) -> list[Line]:
    """Split the source of `part` into logical lines, without comments and docstrings."""
    try:
        return _tokenized_lines(part)
    except (tokenize.TokenError, SyntaxError):
        # The source may be of another Python version than the one that is running.
        lines = enumerate(part.source.splitlines(), part.line)
        return [Line(i, line.strip(), line.strip()) for i, line in lines if line.strip()]


def _tokenized_lines(part: Part) -> list[Line]:
    lines: list[Line] = []
    pending: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(part.source).readline):
        if token.type == tokenize.NEWLINE:
            if [t.type for t in pending] != [tokenize.STRING]:
                lines.append(_logical_line(pending, part.line))
            pending = []
        elif token.type not in _NO_CONTENT:
            pending.append(token)
    return lines


def _logical_line(tokens: list[tokenize.TokenInfo], offset: int) -> Line:
    pieces = [tokens[0].string]
    for before, token in itertools.pairwise(tokens):
        apart = token.start[0] != before.end[0] or token.start[1] > before.end[1]
        pieces.append(" " * apart + token.string)
    text = "".join(pieces).replace("\n", "\\n")
    return Line(tokens[0].start[0] - 1 + offset, text, " ".join(t.string for t in tokens))


def opcodes(old: list[Line], new: list[Line]) -> Sequence[tuple[str, int, int, int, int]]:
    """Return how the one becomes the other, as `difflib` says it."""
    matcher = difflib.SequenceMatcher(
        None, [line.tokens for line in old], [line.tokens for line in new], autojunk=False
    )
    return matcher.get_opcodes()
