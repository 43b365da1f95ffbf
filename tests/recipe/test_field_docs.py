"""What fields mean, read from where it is written."""

from dataclasses import dataclass, field

from hf_tune.recipe.field_docs import read_call_docs, read_field_docs


@dataclass
class Parent:
    a: int = 0
    """First."""
    b: int = 0
    """Of the parent."""


@dataclass
class Child(Parent):
    b: int = 0
    """Of the child,
    in two lines."""
    c: int = field(default=0, metadata={"help": "a library's way"})
    d: int = 0
    e: int = field(default=0, metadata={"help": ("in", "pieces")})


def call() -> None:
    """Do something.

    Args:
        first (`str`):
            What comes first. It is a word.
        second (`int`, *optional*, defaults to 3):
            The next,
            in two lines.

    Returns:
        nothing (at all):
    """


def test_docstrings_under_fields_and_the_help_of_libraries() -> None:
    found = read_field_docs(Child)
    expected = {"a": "First.", "b": "Of the child, in two lines.", "c": "a library's way", "e": "in pieces"}
    assert found == expected


def test_arguments_in_a_docstring() -> None:
    assert read_call_docs(call) == {"first": "What comes first. It is a word.", "second": "The next, in two lines."}


def test_long_words_end_with_a_sentence() -> None:
    @dataclass
    class Long:
        a: int = field(default=0, metadata={"help": "One sentence is here. " + "word " * 100})
        b: int = field(default=0, metadata={"help": "x" * 500})

    found = read_field_docs(Long)
    assert found["a"] == "One sentence is here." and len(found["b"]) < 250
