"""Pictures of 16 bits and DICOM, from folder to prediction: the same grey levels in training and after loading."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import hf_tune.assembly
import hf_tune.proof
from hf_tune.commands import check, predict
from hf_tune.finetuned import load_finetuned
from hf_tune.input_error import InputError
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune, main


def draw_xray(number: int) -> np.ndarray:
    """Return 12 bits in 16: a body that fades, with a bright or dark spot."""
    y, x = np.mgrid[-1:1:80j, -1:1:80j]
    body = 0.8 * np.exp(-2 * (x**2 + y**2)) + np.random.default_rng(number).normal(0.05, 0.01, (80, 80))
    body += (0.15 if number % 2 else -0.15) * np.exp(-60 * ((x - 0.3) ** 2 + y**2))
    return (np.clip(body, 0, 1) * 4095).astype(np.uint16)


@pytest.fixture
def write_folder(tmp_path: Path, write_dicom: Callable[..., bytes]) -> Callable[[str], Path]:
    """Return a function that fills two class folders with twelve x-rays of a format."""

    def write(ending: str) -> Path:
        for number in range(12):
            file = tmp_path / "xrays" / ("dark", "bright")[number % 2] / f"{number}.{ending}"
            file.parent.mkdir(parents=True, exist_ok=True)
            if ending == "dcm":
                file.write_bytes(write_dicom(draw_xray(number), WindowCenter=9, WindowWidth=9))
            else:
                PIL.Image.fromarray(draw_xray(number)).save(file)
        return tmp_path / "xrays"

    return write


@pytest.fixture
def write_wide_recipe(write_recipe: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that writes a recipe for a folder, with a line of `preprocess:`."""

    def write(folder: Path, line: str = "", model: str = "timm/test_resnet.r160_in1k") -> Path:
        replace = [
            ("path: tiny_pictures:load", f"path: {folder}"),
            ("  image_size: 32", f"  image_size: 64\n  {line}"),
        ]
        replace += [("use_cpu: true", "use_cpu: true\n  max_steps: 2")]
        return write_recipe(model, replace=tuple(replace))

    return write


@pytest.fixture(autouse=True)
def proof_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)


@pytest.mark.parametrize(
    ("ending", "kind"), [("png", "timm"), ("tiff", "resnet"), pytest.param("dcm", "timm", marks=pytest.mark.slow)]
)
def test_grey_levels_are_kept_in_training_and_in_every_prediction(
    ending: str,
    kind: str,
    write_folder: Callable[[str], Path],
    write_wide_recipe: Callable[..., Path],
    tiny_checkpoints: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained: list[Any] = []
    encode = hf_tune.assembly.encode_split
    monkeypatch.setattr(hf_tune.assembly, "encode_split", lambda *args: trained.append(encode(*args)) or trained[-1])
    folder = write_folder(ending)
    recipe = write_wide_recipe(folder, "intensity: [0, 4095]", tiny_checkpoints[kind])
    finetune(load_recipe(recipe, ["peft=lora" if ending == "tiff" else "peft=full"]))
    run = recipe.with_name("run")
    finetuned = load_finetuned(run)
    assert finetuned.encoder.intensity == [0, 4095] == json.loads((run / "config.json").read_text())["intensity"]
    split = trained[0].split
    for row in range(3):
        file = split[row]["image"]["path"]
        seen = trained[0][row]["pixel_values"].numpy()
        assert len(np.unique(seen)) >= 200 and (seen == 255).mean() < 0.01
        again = finetuned.task.encode(finetuned.task.read_input(file), finetuned.encoder)["pixel_values"].numpy()
        assert (again == seen).all()
        by_hand = PIL.Image.fromarray(np.rint(draw_xray(int(Path(file).stem)) / 4095 * 255).astype(np.uint8))
        white = PIL.Image.new("L", (80, 80), 255)
        assert finetuned.predict([file]) == finetuned.predict([by_hand]) != finetuned.predict([white])
    files = sorted(str(file) for file in folder.rglob(f"*.{ending}"))
    expected = finetuned.predict(files)
    capsys.readouterr()
    assert predict.main([str(run), str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{file}: {each.label} {each.score:.3f}   (then {other} {1 - each.score:.3f})"
        for file, each in zip(files, expected, strict=True)
        for other in set(each.scores) - {each.label}
    ]


@pytest.mark.parametrize("cached", ["true", "false"])
def test_without_a_range_nothing_is_trained_or_written(
    cached: str,
    write_folder: Callable[[str], Path],
    write_wide_recipe: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = write_wide_recipe(write_folder("png"))
    told = r"row 0 of split 'train': picture '.*\.png': it has 16 bits a pixel, with values from "
    with pytest.raises(InputError, match=told) as caught:
        finetune(load_recipe(recipe, [f"speed.decoded_cache={cached}"]))
    assert "recipe.yaml:11: preprocess" in str(caught.value) and "`[0, 4095]`, `dtype`" in str(caught.value)
    assert not recipe.with_name("run").exists()
    assert main([str(recipe)]) == 2 and check.main([str(recipe)]) == 2
    assert capsys.readouterr().err.count("train with `preprocess.intensity`: `[0, 4095]`") == 2


def test_a_model_without_a_range_refuses_what_it_never_saw(finished_run: Path, tmp_path: Path) -> None:
    PIL.Image.fromarray(draw_xray(0)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"^input 0 \(.*a\.png\): .*it has 16 bits a pixel.*`preprocess\.intensity`"):
        load_finetuned(finished_run).predict([str(tmp_path / "a.png")])
