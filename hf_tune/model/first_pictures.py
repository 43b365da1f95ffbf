"""What a first recipe for pictures starts from: checkpoint, size, method, augmentation; each with its reason."""

from collections.abc import Mapping

from hf_tune.task import Choice


FEW_ROWS = 1000
FEW_ROWS_A_CLASS = 50
_MOST_ROWS_ON_A_CPU = 5000
_OWN_SIDE = 224
"""Of the checkpoints here."""


def choose_picture_checkpoint(has_gpu: bool) -> Choice:
    """Return a checkpoint that a device trains in reasonable time."""
    if has_gpu:
        return Choice(value="timm/resnet50.a1_in1k", why="ImageNet, 25 million weights: for a GPU")
    return Choice(value="timm/mobilenetv2_100.ra_in1k", why="ImageNet, 3 million weights: a CPU trains it")


def choose_image_size(side: int | None, rows: int, has_gpu: bool) -> dict[str, Choice]:
    """Return the size that small pictures are enlarged to where time is short; nothing: the checkpoint's own."""
    if has_gpu or side is None or side > _OWN_SIDE / 2 or rows <= FEW_ROWS:
        return {}
    half = _OWN_SIDE // 2
    why = (
        f"the pictures have {side} pixels; half of the checkpoint's {_OWN_SIDE} is 4 times as fast, less costs points"
    )
    return {"image_size": Choice(value=half, why=why)}


def choose_picture_method(rows: int, counts: Mapping[str, int], has_gpu: bool) -> Choice:
    """Return a word under `peft:`."""
    rarest = min(counts.values())
    if rows < FEW_ROWS or rarest < FEW_ROWS_A_CLASS:
        few = f"{rows} rows" if rows < FEW_ROWS else f"{rarest} rows of a class"
        return Choice(value="lora", why=f"{few}: few weights train; peft=probe is much faster, peft=full trains all")
    if not has_gpu and rows > _MOST_ROWS_ON_A_CPU:
        why = f"{rows:,} rows on a CPU: they pass the network once; peft=full for hours, or on a GPU"
        return Choice(value="probe", why=why)
    return Choice(value="full", why=f"{rows:,} rows are enough to train all weights; peft=lora trains few")


def choose_augmentation(method: str) -> dict[str, Choice]:
    """Return augmentations; none for a probe, whose features are computed once."""
    if method == "probe":
        return {}
    why = "moved a little; add horizontal_flip where left and right mean the same"
    return {"augment": Choice(value=["random_crop"], why=why)}
