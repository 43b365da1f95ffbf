"""Hashes of files, against hashlib and git's own definition."""

import hashlib
from pathlib import Path

from huggingface_hub.utils.sha import git_hash

from hf_tune.file_hashes import hash_blob, hash_file


def test_a_file_of_several_pieces_has_the_hash_of_its_whole_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000  # more than two pieces
    (tmp_path / "a.bin").write_bytes(content)
    assert hash_file(tmp_path / "a.bin") == hashlib.sha256(content).hexdigest()
    assert hash_blob(tmp_path / "a.bin") == git_hash(content)


def test_an_empty_file_has_git_s_well_known_name(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert hash_blob(tmp_path / "empty") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
