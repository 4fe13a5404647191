"""Every code block of README.md and of docs/ does what the page says."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from psyflow.exceptions import SeededOnceWarning
from psyflow.fingerprint import CONF_FILE
from psyflow.tasks import TASK_PREFIX, Config, TaskDef

from .pages import LANGUAGES, Block, PageError, anchors, blocks, prose, session, set_up_commands
from .pictures import PICTURES, shown_in

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
NEEDS = {"examples.md": "cc", "code.md": "cc"}  # what not every machine has
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
SET_UP = [
    "python3 -m venv .venv && .venv/bin/pip install . "
    "&& .venv/bin/psy run --taskdir psy-tasks-example",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest",
]

each_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


def run_page(markdown: str, folder: Path) -> None:
    with session("page.md", folder) as running:
        for block in blocks(markdown):
            running.run(block)


@each_page
def test_code_does_what_the_page_says(page: Path, tmp_path: Path) -> None:
    if page.name in NEEDS and not shutil.which(NEEDS[page.name]):
        pytest.skip(f"it needs {NEEDS[page.name]}")
    with session(page.name, tmp_path) as running:
        for block in blocks(page.read_text()):
            running.run(block)
        for picture in shown_in(page):
            check_picture(PICTURES / picture, tmp_path / picture)
        for name in {block.file_name for block in blocks(page.read_text()) if block.file_name}:
            if Path(name).exists():  # what the page renames has run under its first name
                load_if_settings(Path(name))


def check_picture(shown: Path, made: Path) -> None:
    """See that a picture of the page is small, light, and like the one that the page makes."""
    anew = "To make it anew: python -m tests.docs.pictures"
    with Image.open(shown) as old, Image.open(made) as new:
        old_rows, new_rows = (np.asarray(image.convert("L"), dtype=float) for image in (old, new))
        assert round(old.info["dpi"][0]) == 300
    assert shown.stat().st_size < 60_000
    assert old_rows.shape == new_rows.shape, anew
    # Not the same to the pixel: fonts differ a little from version to version.
    assert np.abs(old_rows - new_rows).mean() < 8, anew
    assert old_rows[0, 0] == old_rows[-1, -1] == 255


def load_if_settings(file: Path) -> None:
    """See that a task file or `psy-conf.py` loads, if it is one, and warns of nothing."""
    if file.name == CONF_FILE:
        Config.load_from_file(file)
    elif file.name.startswith(TASK_PREFIX):
        with warnings.catch_warnings():
            # Of the trap that the guide shows, there is nothing to see but the warning.
            warnings.simplefilter("ignore", SeededOnceWarning)
            TaskDef(file).check_execute()


@each_page
def test_blocks_are_of_known_languages(page: Path) -> None:
    unknown = {b.language: b.line for b in blocks(page.read_text()) if b.language not in LANGUAGES}
    assert unknown == {}


@each_page
def test_blocks_that_are_not_run_say_why(page: Path) -> None:
    left_out = [block for block in blocks(page.read_text()) if block.not_run is not None]
    assert [block.line for block in left_out if len(block.not_run or "") < 10] == []
    assert len(left_out) <= 2


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        is_page = path.suffix == ".md" and path.is_file()
        if not path.exists() or (anchor and is_page and anchor not in anchors(path.read_text())):
            broken.append(target)
    assert broken == []


def test_readme_gives_exactly_the_two_commands() -> None:
    assert set_up_commands((ROOT / "README.md").read_text()) == SET_UP


def test_both_lists_of_pages_are_the_same_and_whole() -> None:
    """A newcomer finds every page, from the README as from the folder `docs`."""
    lists = []
    for page in (ROOT / "README.md", ROOT / "docs" / "README.md"):
        entries = re.findall(r"^- \*\*\[(.*?)\]\(([^)#\s]+)", page.read_text(), re.MULTILINE)
        lists.append([(name, (page.parent / path).resolve()) for name, path in entries])
    assert lists[0] == lists[1]
    own_pages = set((ROOT / "docs").glob("*.md")) - {ROOT / "docs" / "README.md"}
    assert own_pages <= {path for _, path in lists[0]}
    assert lists[0][0][0] == "Tutorial"


def test_guide_is_a_page() -> None:
    assert {"README.md", "docs/guide.md", "docs/architecture.md"} <= set(NAMES)


# -- the reader and runner of pages themselves ---------------------------------------------------


def test_blocks_have_language_text_and_line() -> None:
    page = "# A\n\n```python\nx = 1\n\ny = 2\n```\n\n~~~console\n$ ls\n~~~\n\n```\na → b\n```\n"
    assert blocks(page) == [
        Block("python", "x = 1\n\ny = 2\n", 4),
        Block("console", "$ ls\n", 10),
        Block("", "a → b\n", 14),
    ]


def test_block_that_is_not_closed_is_an_error() -> None:
    with pytest.raises(PageError, match="line 2: the block is not closed"):
        blocks("text\n```python\nx = 1\n")


def test_not_run_belongs_to_the_next_block_only() -> None:
    page = "<!-- not run: needs a GPU -->\n\n```python\n1 / 0\n```\n\n```python\nx = 1\n```\n"
    assert [block.not_run for block in blocks(page)] == ["needs a GPU", None]


@pytest.mark.parametrize("mark", ["<!-- not run -->", "<!-- not run: -->"])
def test_not_run_without_a_reason_is_found(mark: str) -> None:
    assert blocks(f"{mark}\n```python\n1 / 0\n```\n")[0].not_run == ""


def test_not_run_without_a_block_is_an_error() -> None:
    with pytest.raises(PageError, match=r"line 3: .* not followed by a block"):
        blocks("<!-- not run: why not -->\n\nText.\n\n```python\nx = 1\n```\n")


def test_block_that_is_not_run_is_not(tmp_path: Path) -> None:
    run_page("<!-- not run: it would fail -->\n```python\n1 / 0\n```\n", tmp_path)


def test_python_blocks_share_their_names(tmp_path: Path) -> None:
    run_page(
        "```python\nx = 1\n```\n\n```python\n>>> x += 1\n>>> x\n2\n\n```\n\n"
        "```python\nassert x == 2\n```\n",
        tmp_path,
    )


@pytest.mark.parametrize(
    "block",
    [
        "```python\n>>> 1 + 1\n3\n\n```",
        "```python\n>>> 1 / 0\n1\n```",
        "```pycon\n>>> 1 + 1\n3\n```",
        "```console\n$ echo a\nb\n```",
        "```console\n$ echo a\n```",
        "```console\n$ true\na\n```",
        "```console\n$ printf 'a\\nb\\n'\nb\n```",
        "```console\n$ false\n```",
        "```console\n$ echo a\na\n$ false\n```",
        "```console\necho a\n```",
    ],
)
def test_block_that_lies_is_found(block: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"page\.md:2"):
        run_page(block, tmp_path)


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("```python\n1 / 0\n```", ZeroDivisionError),
        ("```toml\na = \n```", ValueError),
    ],
)
def test_block_that_fails_is_found(block: str, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error):
        run_page(block, tmp_path)


@pytest.mark.parametrize(
    "block",
    [
        "```console\n$ echo a; echo b >&2\na\nb\n```",
        "```console\n$ printf 'a\\n\\n'\na\n\n```",
        "```console\n$ seq 100\n1\n...\n100\n```",
        "```console\n$ echo took 0.31 s\ntook ... s\n```",
        "```console\n$ false\n...\n$ echo $?\n1\n```",
        "```console\n$ cd /\n$ pwd\n/\n```",
        "```console\n$ for i in 1 2; do\n> echo $i\n> done\n1\n2\n```",
        "```text\nnothing is run\n```",
    ],
)
def test_block_that_is_true_passes(block: str, tmp_path: Path) -> None:
    run_page(block, tmp_path)


def test_commands_run_in_the_folder_of_the_page_with_this_python(tmp_path: Path) -> None:
    run_page(
        "```python\n# sub/hello.py\nprint('hello')\n```\n\n"
        "```console\n$ python sub/hello.py\nhello\n$ python -c 'import psyflow'\n```\n",
        tmp_path,
    )
    assert (tmp_path / "sub" / "hello.py").read_text() == "# sub/hello.py\nprint('hello')\n"


def test_comment_that_is_no_file_name_is_code(tmp_path: Path) -> None:
    run_page("```python\n# A comment.\nx = 1\n```\n\n```python\nassert x == 1\n```\n", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_hidden_blocks_are_run(tmp_path: Path) -> None:
    page = "<!-- set-up:\n```console\n$ echo hello > file\n```\n-->\n\n"
    run_page(f"{page}```console\n$ cat file\nhello\n```\n", tmp_path)


def test_page_may_leave_files_open(tmp_path: Path) -> None:
    run_page("```pycon\n>>> file = open('file', 'w')\n```\n", tmp_path)
    assert (tmp_path / "file").exists()


def test_prose_has_no_code() -> None:
    assert prose("a `[x](y)` b\n```python\n[x](y)\n```\n[c](d)\n") == "a  b\n[c](d)"


def test_indented_commands_are_found() -> None:
    page = "Text:\n\n    ls -l\n    pwd\n\n```python\nif x:\n    y\n```\n"
    assert set_up_commands(page) == ["ls -l", "pwd"]
