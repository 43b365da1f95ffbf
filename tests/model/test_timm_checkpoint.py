"""What differs for timm; each trap of TRAPS.md that concerns it."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageClassification

from hf_tune.input_error import InputError
from hf_tune.model.checkpoint import save_model
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.image_processor import PictureOptions
from hf_tune.model.picture_checkpoint import load_image_classifier
from hf_tune.model.timm_checkpoint import (
    build_timm_config,
    get_timm_settings,
    initialise_timm_model,
    is_timm,
    mend_timm_folder,
    read_timm_architecture,
)


def test_from_scratch_has_timms_own_initialisation() -> None:
    """TRAPS M1: the wrapper alone starts every weight at N(0, 0.02)."""
    import timm

    stored = read_timm_architecture("timm/test_resnet.r160_in1k")
    torch.manual_seed(0)
    expected = timm.create_model("test_resnet", num_classes=2).state_dict()
    torch.manual_seed(0)
    model = initialise_timm_model(
        AutoModelForImageClassification.from_config,
        build_timm_config(stored, get_timm_settings(stored), {}, ["a", "b"]),
    )
    own = {name.removeprefix("timm_model."): value for name, value in model.state_dict().items()}
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[name], value) for name, value in expected.items())


def test_a_folder_of_timms_loads_and_what_we_save_loads_in_timm(
    tiny_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    """TRAPS M2 both ways, and M4b."""
    import timm

    stored = json.loads(Path(tiny_checkpoints["timm"], "config.json").read_text())
    assert is_timm(stored) and stored["model_args"]["num_classes"] == 5
    source = ModelSource(pretrained_model_name_or_path=tiny_checkpoints["timm"])
    loaded = load_image_classifier(source, PictureOptions(), ["a", "b", "c"])
    save_model(loaded.model, loaded.processor, tmp_path)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(again(pixels), loaded.model.eval()(pixels).logits, atol=1e-6)
    assert again.pretrained_cfg["num_classes"] == 3


def test_a_folder_without_preprocessing_gets_timms(tmp_path: Path) -> None:
    """TRAPS M3: a model built from a bare config has no pretrained_cfg, and AutoImageProcessor fails."""
    from transformers import AutoImageProcessor, TimmWrapperConfig, TimmWrapperForImageClassification

    TimmWrapperForImageClassification(TimmWrapperConfig(architecture="test_resnet", num_labels=3)).save_pretrained(
        tmp_path
    )
    source = ModelSource(pretrained_model_name_or_path=str(tmp_path))
    loaded = load_image_classifier(source, PictureOptions(), ["a", "b"])
    save_model(loaded.model, loaded.processor, tmp_path / "again")
    assert AutoImageProcessor.from_pretrained(tmp_path / "again").data_config["input_size"] == (3, 160, 160)


def test_mending_twice_changes_nothing(tiny_checkpoints: dict[str, str], tmp_path: Path) -> None:
    source = ModelSource(pretrained_model_name_or_path=tiny_checkpoints["timm"])
    loaded = load_image_classifier(source, PictureOptions(), ["a", "b", "c"])
    save_model(loaded.model, loaded.processor, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    mend_timm_folder(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_unknown_architecture_names_its_neighbours() -> None:
    with pytest.raises(InputError, match=r"did you mean timm/resnet50"):
        read_timm_architecture("timm/resnt50.a1_in1k")


def test_a_file_with_a_second_name_stays_as_it_is_there(tiny_checkpoints: dict[str, str], tmp_path: Path) -> None:
    """Safetensors writes into the file that is there: a checkpoint linked to it would change too."""
    import os

    source = ModelSource(pretrained_model_name_or_path=tiny_checkpoints["timm"])
    loaded = load_image_classifier(source, PictureOptions(), ["a", "b", "c"])
    loaded.model.save_pretrained(tmp_path / "checkpoint")
    before = (tmp_path / "checkpoint" / "model.safetensors").read_bytes()
    (tmp_path / "linked").mkdir()
    os.link(tmp_path / "checkpoint" / "model.safetensors", tmp_path / "linked" / "model.safetensors")
    (tmp_path / "linked" / "config.json").write_text((tmp_path / "checkpoint" / "config.json").read_text())
    mend_timm_folder(tmp_path / "linked")
    assert (tmp_path / "checkpoint" / "model.safetensors").read_bytes() == before
    assert not os.path.samefile(*(tmp_path / name / "model.safetensors" for name in ("checkpoint", "linked")))
