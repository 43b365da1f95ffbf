"""Text of anybody's in Markdown, read back by a parser."""

import pytest
from markdown_it import MarkdownIt

from hf_tune.markdown_text import escape, fence, quote


TEXTS = [
    "plain",
    "a|b",
    "||",
    "<script>alert(1)</script>",
    "</td></table>",
    "{{x}} {% y %}",
    "`tick`",
    "``",
    "*a* **b** _c_ __d__ snake_case",
    "[x](y) ![z](w)",
    "&lt; &amp;",
    "~~gone~~",
    "$x$",
    "back\\slash \\| \\",
    "# heading",
    "- item",
    "<!-- x -->",
]


def read(text: str, kind: str) -> list[str]:
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    inline = [token for token in tokens if token.type == "inline"]
    assert {leaf.type for token in inline for leaf in token.children or ()} <= {kind, "text"}
    return ["".join(leaf.content for leaf in token.children or ()) for token in inline]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_shown_as_it_is_in_a_sentence_a_cell_and_an_item(text: str) -> None:
    assert read(escape(text), "text") == [text]
    assert read(f"| a | b |\n|---|---|\n| {escape(text)} | 1 |", "text") == ["a", "b", text, "1"]
    assert read(f"- {escape(text)}", "text") == [text]


@pytest.mark.parametrize("text", TEXTS)
def test_code_is_shown_as_it_is(text: str) -> None:
    assert read(f"see {quote(text)}.", "code_inline") == [f"see {text}."]


def test_line_breaks_become_spaces() -> None:
    assert escape(" two\n\n# lines\t") == "two # lines" and quote("two\nlines") == "`two lines`"


def test_a_word_with_underscores_stays_readable() -> None:
    assert escape("card_payment_fee") == "card_payment_fee" and escape("_x") == "\\_x"


@pytest.mark.parametrize("text", ["a: 1", "```\nb\n```", "~~~\n`````` c"])
def test_a_block_of_code_is_verbatim(text: str) -> None:
    (block,) = [
        token for token in MarkdownIt().parse(f"before\n\n{fence(text, 'yaml')}\n\nafter") if token.type == "fence"
    ]
    assert block.content == f"{text}\n" and block.info == "yaml"
