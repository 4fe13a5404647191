"""The pictures in ``docs/pictures``: made by the pages that show them.

``python -m tests.docs.pictures`` runs these pages, and puts what they draw there. Look at them
then.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from PIL import Image

from .pages import blocks, session

__all__ = ["PICTURES", "shown_in"]

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = DOCS / "pictures"


def shown_in(page: Path) -> list[str]:
    """Return the names of the pictures that a page shows."""
    pattern = r"!\[[^]]*\]\((?:docs/)?pictures/([\w.-]+)\)"
    return re.findall(pattern, page.read_text(encoding="utf-8"))


def _make() -> None:
    PICTURES.mkdir(exist_ok=True)
    for page in [DOCS.parent / "README.md", *sorted(DOCS.glob("**/*.md"))]:
        names = shown_in(page)
        if not names:
            continue
        with tempfile.TemporaryDirectory() as folder, session(page.name, Path(folder)) as running:
            for block in blocks(page.read_text(encoding="utf-8")):
                running.run(block)
            for name in names:
                _put_small(Path(folder) / name, PICTURES / name)


def _put_small(picture: Path, target: Path) -> None:
    """Keep no more colours than can be told apart: a third of the bytes do for that."""
    with Image.open(picture) as image:
        few = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
        few.save(target, dpi=image.info["dpi"], optimize=True)


if __name__ == "__main__":
    _make()
