"""Whatever is in a value, a program gets it as exactly one argument, and nothing of it is run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from psyflow import Command
from psyflow.command.render import ShellLine
from psyflow.exceptions import CommandFailedError, UsageError

SHOW = ["sh", "-c", 'printf "%s\\0" "$@"', "sh"]
# Lone surrogates are no text: but what `os.fsdecode` makes of names in other encodings is.
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS | st.sampled_from(" '\"$`\\;&|<>(){}*?~#!-=\n\t\r"))

few = settings(max_examples=60, deadline=None)
hostile = [
    example("'; touch gone; '"),
    example('"; touch gone; "'),
    example("$(touch gone)"),
    example("`touch gone`"),
    example("-rf --help"),
    example("a\nb\ttouch gone"),
    example(""),
    example("{x} {{ %s"),
    example("ü ∑ 🐾"),
    example("\\'"),
    example("X=1"),
    example("if"),
    example("~ * ?"),
]


def each(test):
    for one in hostile:
        test = one(test)
    return few(given(TEXTS)(test))


def arguments(command, **options):
    def parse(folder: Path) -> dict[str, list[str]]:
        left = {path.name for path in folder.iterdir()} - {"stdout", "stderr"}
        assert not left, f"something was run, and has made {left}"
        return {"argv": (folder / "stdout").read_bytes().decode(errors="surrogateescape")}

    def call(**pset):
        return Command(command, parse=parse, **options)(**pset)["argv"].split("\0")[:-1]

    return call


@each
def test_a_value_is_exactly_one_argument(value):
    show = arguments([[*SHOW, "{x}", "--x={x}", "{x}{y}"]])
    assert show(x=value, y="|") == [value, f"--x={value}", f"{value}|"]


@each
def test_a_value_in_a_line_of_text_is_exactly_one_argument(value):
    show = arguments("""sh -c 'printf "%s\\0" "$@"' sh {x} 'a {x}' "{x} b" c\\ {x}""")
    assert show(x=value) == [value, f"a {value}", f"{value} b", f"c {value}"]


@each
def test_a_value_in_a_line_for_a_shell_is_exactly_one_argument(value):
    show = arguments(
        """printf '%s\\0' {x} --x={x} 'a {x} a' "b {x} b" $(echo no) | cat""", shell=True
    )
    assert show(x=value) == [value, f"--x={value}", f"a {value} a", f"b {value} b", "no"]


@each
def test_a_shell_does_not_run_a_value_even_where_a_command_begins(value):
    touch = Command(
        "{x} || true", shell=True, parse=lambda f: {"files": sorted(map(str, f.glob("*")))}
    )
    # A program of that name may be there; what the value says as a line of code is not run.
    if value.strip() and "/" not in value and not value[0].isalnum():
        assert [f for f in touch(x=value)["files"] if f.endswith("gone")] == []


@pytest.mark.parametrize(
    "line",
    [
        'echo "$(cat {x})"',
        'echo "`cat {x}`"',
        "echo `cat {x}`",
        "cat <<END\n{x}\nEND",
        "echo \\{x}",
        "echo ok # {x}",
        "echo $(( {x} + 1 ))",
        "echo ${{y:-{x}}}",
        "echo $'{x}'",
    ],
)
def test_where_no_quoting_is_safe_a_field_is_refused(line):
    with pytest.raises(UsageError, match=r"no quoting is safe.*x=\{x\}"):
        ShellLine(line)


def test_what_is_in_quotes_or_a_comment_of_a_shell_does_not_confuse():
    line = "echo 'it # is' \"$HOME\" # don't\necho {x}"
    assert ShellLine(line).render({"x": "a'b"})[2].endswith("\necho 'a'\"'\"'b'")


def test_fields_are_those_of_format():
    fields = ["{lr:.3g}", "{{}}", "{name!r}", "{n:0{width}d}", "{size[0]}"]
    told = arguments([[*SHOW, *fields]])(lr=0.123456, name="a b", n=7, width=3, size=[4, 5])
    assert told == ["0.123", "{}", "'a b'", "007", "4"]


def test_spaces_in_a_field_split_no_word():
    line = Command("echo {n: >5} {d[a b]}", parse=lambda f: {"said": (f / "stdout").read_text()})
    assert line(n=3, d={"a b": "x"})["said"] == "    3 x\n"


def test_a_value_that_no_program_can_get_is_a_failure():
    with pytest.raises(ValueError, match=r"The field \{x\} has a NUL"):
        Command("echo {x}")(x="a\0b")
    with pytest.raises(ValueError, match=r"The field \{x:.3g\} cannot be written"):
        Command("echo {x:.3g}")(x="text")
    with pytest.raises(ValueError, match=r"The field \{x\} is no text that can be encoded"):
        Command("echo {x}")(x="\ud800")
    with pytest.raises(CommandFailedError, match="longer than the system takes"):
        Command("echo {x}")(x="a" * 3_000_000)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo {", "A brace that is no field is written twice"),
        ("echo {}", "names no parameter"),
        ("echo {0}", "names no parameter"),
        ("echo 'open", "no closing quotation"),
        ("", "is empty"),
        ([], "A Command is text"),
        (3, "A Command is text"),
        ([["./sim", 3]], "list of texts"),
    ],
)
def test_a_command_that_cannot_be_is_refused_as_it_is_made(command, why):
    with pytest.raises(UsageError, match=why):
        Command(command)
