"""Which data set of the Hub was loaded: with the real client against a Hub on loopback, else none."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import datasets
import PIL.Image

from hf_tune.data.hub_data import HubData, find_hub_data


NAMES = ("rows", "pictures")
CLIENT = """
import dataclasses, json, sys
import datasets
from hf_tune.data.hub_data import find_hub_data
for text in sys.argv[1:]:
    load = json.loads(text)
    found = find_hub_data(load, datasets.load_dataset(**load))
    print(json.dumps(found and dataclasses.asdict(found)))
"""


def test_the_commit_is_that_of_the_hub_for_tables_and_streams(tmp_path: Path, hub_server_class: type) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    datasets.Dataset.from_dict({"a": [1, 2]}).to_parquet(rows / "train.parquet")
    for name in ("red", "blue"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        PIL.Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / name / "x.png")
    repos = {("datasets", f"owner/{name}"): tmp_path / name for name in NAMES}
    loads = [
        {"path": "owner/rows"},
        {"path": "owner/rows", "data_files": "train.parquet", "streaming": True},
        {"path": "owner/pictures"},
        {"path": "owner/pictures", "streaming": True},
        {"path": "parquet", "data_files": "hf://datasets/owner/rows/train.parquet"},
        {"path": str(rows)},
        {"path": "parquet", "data_files": str(rows / "train.parquet")},
    ]
    with hub_server_class(repos) as hub:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, *map(json.dumps, loads)],
            env=hub.environment(tmp_path / "cache"),
            capture_output=True,
            text=True,
            check=False,
        )
        shas = [json.load(urllib.request.urlopen(f"{hub.url}/api/datasets/owner/{name}"))["sha"] for name in NAMES]
        commits = dict(zip(NAMES, shas, strict=True))
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [
        {"id": f"owner/{name}", "revision": commits[name], "config": "default"}
        for name in ("rows", "rows", "pictures", "pictures")
    ]
    assert found == [*expected, {"id": "owner/rows", "revision": None, "config": None}, None, None]


def test_a_commit_in_the_address_of_a_file_is_taken() -> None:
    rows = {"train": datasets.Dataset.from_dict({"a": [1]})}
    address = f"hf://datasets/owner/rows@{'a' * 40}/data/*.parquet"
    load = {"path": "parquet", "data_files": {"train": [address], "test": address}}
    assert find_hub_data(load, rows) == HubData(id="owner/rows", revision="a" * 40, config=None)
    assert find_hub_data({"path": f"hf://datasets/owner/rows@{'a' * 40}"}, rows) is not None
    other = "hf://datasets/owner/more@main/x.parquet"
    assert find_hub_data({"path": "parquet", "data_files": [address, other]}, rows) is None


def test_a_loader_of_ones_own_is_no_data_set_of_the_hub() -> None:
    rows = {"train": datasets.Dataset.from_dict({"a": [1]})}
    assert find_hub_data({"path": "module:load"}, rows) is None
    assert find_hub_data({"path": "owner/rows"}, rows) is None  # nothing says that it was built from there
