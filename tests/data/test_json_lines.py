"""Json lines: the line that cannot be read."""

from pathlib import Path

import pytest

from hf_tune.data.json_lines import check_lines
from hf_tune.input_error import InputError


def test_a_broken_line_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n\n{"a": 2 "b": 3}\n')
    with pytest.raises(
        InputError, match=r"rows.jsonl: line 3, sign 9: Expecting ',' delimiter; each line must be one"
    ):
        check_lines(str(tmp_path / "rows.jsonl"), "utf-8")


@pytest.mark.parametrize("text", ['[\n{"a": 1}\n]\n', '{"data":\n[{"a": 1}]}\n', '\ufeff{"a": 1}\n{"a": 2}'])
def test_other_files_of_json_are_left_to_datasets(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.json").write_text(text)
    check_lines(str(tmp_path / "rows.json"), "utf-8")
