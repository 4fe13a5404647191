"""Tables as text: CSV, TSV, JSON, JSON lines, Markdown and LaTeX."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from psyflow.columns import Column, cut, table_length
from psyflow.exceptions import UnsupportedDataError
from psyflow.results.choice import Chosen
from psyflow.results.text.digits import one_line
from psyflow.results.text.exact import as_json_column, as_texts, unfit_columns
from psyflow.results.text.view import View

__all__ = ["TEXT_FORMATS", "written"]

_BLOCK = 1 << 14

_Written = Callable[[Chosen], Iterator[str]]


def written(chosen: Chosen, form: str) -> Iterator[str]:
    r"""Return the text of a table, in pieces.

    Parameters
    ----------
    chosen : Chosen
    form : str
        One of `TEXT_FORMATS`. CSV is as in RFC 4180. In TSV, a backslash stands before what would
        end a value (``\t``, ``\n``) and before itself. In both, nothing stands for what is
        absent, and ``""`` in CSV for a text without characters. See `psyflow.results.text.exact`
        for values. Markdown and LaTeX are for people: with few digits, and means with spreads.

    Raises
    ------
    UnsupportedDataError
        If some columns have no form as text, before there is any text.
    """
    if form in _EXACT:
        unfit = unfit_columns(dict(chosen.table))
        if unfit:
            name, why = next(iter(unfit.items()))
            others = f" {len(unfit)} columns are like that: {', '.join(unfit)}."
            raise UnsupportedDataError(
                f'Column "{name}" cannot be in {form}: {why}{others if len(unfit) > 1 else ""} '
                "Leave it out with --columns, or export to a .pkl file."
            )
    return TEXT_FORMATS[form](chosen)


def _csv(chosen: Chosen) -> Iterator[str]:
    yield from _separated(chosen, ",", "\r\n", _csv_field, "")


def _tsv(chosen: Chosen) -> Iterator[str]:
    yield from _separated(chosen, "\t", "\n", _tsv_field, "")


def _separated(
    chosen: Chosen, separator: str, end: str, field: Callable[[str], str], absent: str
) -> Iterator[str]:
    table = chosen.table
    # A line without anything would be no row.
    alone = '""' if separator == "," and len(table) == 1 else absent
    yield separator.join(map(field, table)) + end
    for block in _blocks(table):
        texts = [
            [alone if text is None else field(text) for text in as_texts(column)]
            for column in block.values()
        ]
        yield "".join(separator.join(row) + end for row in zip(*texts, strict=True))


def _csv_field(text: str) -> str:
    if not text or any(sign in text for sign in ',"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


def _tsv_field(text: str) -> str:
    for sign, escape in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(sign, escape)
    return text


def _json(chosen: Chosen) -> Iterator[str]:
    before = "[\n"
    for line in _json_lines(chosen):
        yield before + line.rstrip("\n")
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _json_lines(chosen: Chosen) -> Iterator[str]:
    for block in _blocks(chosen.table):
        for values in zip(*map(as_json_column, block.values()), strict=True):
            yield json.dumps(dict(zip(block, values, strict=True))) + "\n"


def _markdown(chosen: Chosen) -> Iterator[str]:
    view = View(chosen)
    texts = {shown.name: view.texts(shown.name) for shown in view.columns}
    yield _markdown_row([_markdown_text(one_line(shown.title)) for shown in view.columns])
    yield _markdown_row(["---:" if text.are_numbers else "---" for text in texts.values()])
    for row in zip(*(text.cells for text in texts.values()), strict=True):
        yield _markdown_row([_markdown_text(cell.strip()) for cell in row])


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _markdown_text(text: str) -> str:
    for sign in "\\`*_[]<>|~":
        text = text.replace(sign, f"\\{sign}")
    return text


def _latex(chosen: Chosen) -> Iterator[str]:
    view = View(chosen)
    texts = [view.texts(shown.name, "\\pm") for shown in view.columns]
    letters = "".join("r" if text.are_numbers else "l" for text in texts)
    yield f"% \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{letters}}}\n\\toprule\n"
    yield _latex_row([_latex_text(one_line(shown.title)) for shown in view.columns])
    yield "\\midrule\n"
    columns = [
        [_latex_number(cell) if text.are_numbers else _latex_text(cell) for cell in text.cells]
        for text in texts
    ]
    for row in zip(*columns, strict=True):
        yield _latex_row(row)
    yield "\\bottomrule\n\\end{tabular}\n"


def _latex_number(text: str) -> str:
    powers = re.sub(r"e([+-])0*(\d+)", _power_of_ten, text.strip())
    words = powers.replace("nan", r"\mathrm{nan}").replace("inf", r"\infty")
    return f"${words}$"


def _power_of_ten(found: re.Match[str]) -> str:
    sign = "-" if found[1] == "-" else ""
    return rf" \cdot 10^{{{sign}{found[2]}}}"


def _latex_row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\\n"


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _blocks(table: Mapping[str, Column]) -> Iterator[dict[str, Column]]:
    for start in range(0, table_length(table), _BLOCK):
        yield {name: cut(column, start, start + _BLOCK) for name, column in table.items()}


TEXT_FORMATS: Mapping[str, _Written] = {
    "csv": _csv,
    "tsv": _tsv,
    "json": _json,
    "jsonl": _json_lines,
    "md": _markdown,
    "tex": _latex,
}
"""The names of the formats, which are the extensions of files as well."""

_EXACT = ("csv", "tsv", "json", "jsonl")
