"""One object for every picture: what we make of it is what the plain processor makes of it."""

from typing import Any

import pytest
import torch

from hf_tune.input_error import InputError
from hf_tune.model.image_processor import (
    PictureOptions,
    PictureProcessor,
    configure_timm_settings,
    configure_transformers_processor,
    get_side,
)


def timm_processor(options: PictureOptions) -> Any:
    import timm
    from transformers import TimmWrapperImageProcessor

    settings = timm.get_pretrained_cfg("test_resnet").to_dict()
    return TimmWrapperImageProcessor(configure_timm_settings(settings, options), architecture="test_resnet")


def hub_processor(kind: str, options: PictureOptions) -> Any:
    import transformers

    start = {
        "MobileNetV2ImageProcessor": {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}},
        "ViTImageProcessor": {"size": {"height": 224, "width": 224}},
        "ConvNextImageProcessor": {"size": {"shortest_edge": 224}, "crop_pct": 0.875},
    }[kind]
    return configure_transformers_processor(getattr(transformers, kind)(**start), options)


KINDS = ["timm", "MobileNetV2ImageProcessor", "ViTImageProcessor", "ConvNextImageProcessor"]
OPTIONS = [
    PictureOptions(),
    PictureOptions(image_size=32),
    PictureOptions(image_size=48, crop_pct=1.0, mean=[0.1, 0.2, 0.3], std=[0.9, 0.8, 0.7]),
    PictureOptions(image_size=32, interpolation="nearest"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_two_steps_give_what_the_plain_processor_gives(kind: str, options: PictureOptions, pictures: list) -> None:
    plain = timm_processor(options) if kind == "timm" else hub_processor(kind, options)
    ours = PictureProcessor(plain)
    for picture in pictures:
        whole = plain(picture, return_tensors="pt")["pixel_values"]
        encoded = ours.encode(picture)
        assert encoded.dtype == torch.uint8
        assert torch.allclose(ours.normalise(encoded[None]), whole, atol=1e-5)
        if options.image_size:
            assert whole.shape[2:] == (options.image_size, options.image_size)


@pytest.mark.parametrize("kind", ["timm", "MobileNetV2ImageProcessor", "ViTImageProcessor"])
def test_squash_keeps_the_whole_picture(kind: str) -> None:
    import PIL.Image

    options = PictureOptions(image_size=32, crop_mode="squash")
    ours = PictureProcessor(timm_processor(options) if kind == "timm" else hub_processor(kind, options))
    picture = PIL.Image.new("RGB", (90, 30))
    picture.paste((255, 255, 255), (0, 0, 15, 30))  # a stripe that a centre crop would lose
    assert ours.encode(picture)[0, :, 0].min() > 200


def test_squash_is_refused_where_the_processor_cannot() -> None:
    with pytest.raises(InputError, match="always keeps the aspect ratio") as caught:
        hub_processor("ConvNextImageProcessor", PictureOptions(crop_mode="squash"))
    assert caught.value.at == ("preprocess", "crop_mode")


def test_a_processor_that_does_more_is_refused() -> None:
    from transformers import ViTImageProcessor

    class Brighter(ViTImageProcessor):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            made = super().__call__(*arguments, **options)
            if options.get("do_normalize", True):
                made["pixel_values"] = made["pixel_values"] + 0.1
            return made

    with pytest.raises(InputError, match="does more than resize, crop and normalise"):
        PictureProcessor(Brighter(size={"height": 32, "width": 32}))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_side_that_a_checkpoint_knows_is_read_from_its_processor(kind: str) -> None:
    assert get_side(hub_processor(kind, PictureOptions())) == 224
    assert get_side(hub_processor(kind, PictureOptions(image_size=48))) == 48


@pytest.mark.parametrize("kind", KINDS)
def test_the_fingerprint_changes_with_the_settings_and_with_nothing_else(kind: str) -> None:
    def fingerprint(**options: Any) -> str:
        chosen = PictureOptions(**options)
        return PictureProcessor(
            timm_processor(chosen) if kind == "timm" else hub_processor(kind, chosen)
        ).fingerprint()

    changes: list[dict[str, Any]] = [{}, {"image_size": 48}, {"crop_pct": 0.5}, {"interpolation": "nearest"}]
    assert len({fingerprint(**each) for each in changes}) == len(changes)
    assert fingerprint() == fingerprint()


def test_the_fingerprint_changes_with_the_range_of_grey_values() -> None:
    plain = hub_processor("ViTImageProcessor", PictureOptions())
    ranges = [None, "file", "dtype", [0, 4095], [0, 4096]]
    assert len({PictureProcessor(plain, each).fingerprint() for each in ranges}) == len(ranges)


@pytest.mark.parametrize("values", [[], [1], [1, 2, 3], [5, 5], [9, 1], [0, float("inf")], [float("nan"), 1]])
def test_what_is_no_range_of_grey_values_is_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match=r"is no range; give the values of black and of white") as caught:
        PictureOptions(intensity=values)
    assert caught.value.at == ("intensity",)
    assert PictureOptions(intensity=[-1024, 3071]).intensity == [-1024, 3071]
