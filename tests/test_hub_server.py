"""The loopback Hub of the tests, asked by the real client."""

import subprocess
import sys
from pathlib import Path


CLIENT = """
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
import datasets
path = hf_hub_download("owner/model", "config.json")
assert open(path).read() == "{}", path
sha = HfApi().model_info("owner/model").sha
assert sha in path
assert [e.path for e in HfApi().list_repo_tree("owner/model")] == ["config.json", "deep"]
for call, error in (
    (lambda: hf_hub_download("owner/none", "config.json"), RepositoryNotFoundError),
    (lambda: hf_hub_download("owner/model", "none.json"), EntryNotFoundError),
    (lambda: HfApi().model_info("owner/model", revision="none"), RevisionNotFoundError),
):
    try:
        call()
    except error:
        continue
    raise SystemExit(f"no {error}")
assert datasets.load_dataset("owner/rows")["train"]["a"][:] == [1, 2]
"""


def test_the_real_client_finds_files_trees_data_sets_and_errors(tmp_path: Path, hub_server_class: type) -> None:
    import datasets

    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "deep" / "x.txt").write_text("x")
    (tmp_path / "rows").mkdir()
    datasets.Dataset.from_dict({"a": [1, 2]}).to_parquet(tmp_path / "rows" / "train.parquet")
    repos = {("models", "owner/model"): tmp_path / "model", ("datasets", "owner/rows"): tmp_path / "rows"}
    with hub_server_class(repos) as hub:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT],
            env=hub.environment(tmp_path / "cache"),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
