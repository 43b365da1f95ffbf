"""Every contestant, and every row of the table with its target: what is measured, in one place."""

from types import MappingProxyType

from tests.bench.rounds import Contestant, Figure


RATE, SECONDS, STEP = "rows_per_second", "seconds", "milliseconds_per_step"
PROBED = MappingProxyType({"resnet18": 40.0, "mobilenet_v2": 100.0, "minilm": 100.0})
PARALLEL = MappingProxyType({"full": 0.6, "probe": 0.9, "lora": 0.9})


def list_contestants() -> dict[str, Contestant]:
    """Return every contestant by its name."""
    found = [*_pictures(), *_photographs(), *_probes(), *_texts(), *_starts(), *_memory(), *_rest()]
    return {each.name: each for each in found}


def list_figures() -> list[Figure]:
    """Return the rows of the table."""
    loops = ("plain loop, 0 workers", "plain loop, 2 workers")
    return [
        Figure(measure="P1", title="images/s: hf_tune / limit", quantity=RATE, above="hf_tune", below=("limit",),
               at_least=0.97),
        Figure(measure="P1", title="images/s: hf_tune with RandAugment / limit", quantity=RATE,
               above="hf_tune, RandAugment", below=("limit",), at_least=0.80),
        Figure(measure="P2", title="images/s: hf_tune / plain loop", quantity=RATE, above="hf_tune", below=loops,
               at_least=1.30),
        Figure(measure="P2", title="images/s: hf_tune / the examples' Trainer", quantity=RATE, above="hf_tune",
               below=("examples' Trainer",), at_least=1.15),
        Figure(measure="P2", title="images/s: hf_tune / timm's train.py", quantity=RATE, above="hf_tune",
               below=("timm train.py",)),
        *_photograph_figures(),
        *_probe_figures(),
        Figure(measure="P4", title="texts/s: hf_tune / padding to 128", quantity=RATE, above="hf_tune, texts",
               below=("Trainer, padded to 128",), at_least=4.0),
        Figure(measure="P4", title="texts/s: hf_tune / padding to the longest of a batch", quantity=RATE,
               above="hf_tune, texts", below=("Trainer, padded to the longest",), at_least=1.5),
        Figure(measure="P5", title="seconds: start to first step / imports", quantity=SECONDS,
               above="resnet_digits.yaml", below=("imports",), at_most=1.5),
        Figure(measure="P5", title="seconds: hf-tune --help", quantity=SECONDS, above="hf-tune --help", kind="value",
               at_most=0.3),
        *_memory_figures(),
        *_parallel_figures(),
        Figure(measure="P9", title="ms per step: hf_tune minus bare loop", quantity=STEP, above="hf_tune, tiny",
               below=("bare loop, tiny",), kind="difference", at_most=0.8),
        Figure(measure="P9", title="ms per step: plain Trainer minus bare loop", quantity=STEP, above="Trainer, tiny",
               below=("bare loop, tiny",), kind="difference"),
        Figure(measure="P10", title="pictures/s: predict / a user's loop", quantity=RATE, above="predict",
               below=("predict, a user's loop",), at_least=0.9),
        Figure(measure="P10", title="pictures/s: predict / forward alone", quantity=RATE, above="predict",
               below=("predict, forward alone",)),
        Figure(measure="P11", title="images/s on a GPU: hf_tune / the examples' Trainer", quantity=RATE,
               above="hf_tune, GPU", below=("examples' Trainer, GPU",), at_least=10.0),
        Figure(measure="P11", title="images/s on a GPU: hf_tune / limit", quantity=RATE, above="hf_tune, GPU",
               below=("limit, GPU",), at_least=0.9),
    ]  # fmt: skip


def _pictures() -> list[Contestant]:
    file = "contest_pictures"
    gpu = {"device": "cuda"}
    return [
        Contestant(name="limit", run=f"{file}.limit"),
        Contestant(name="plain loop, 0 workers", run=f"{file}.plain_loop", options={"workers": 0}),
        Contestant(name="plain loop, 2 workers", run=f"{file}.plain_loop", options={"workers": 2}),
        Contestant(name="timm train.py", run=f"{file}.timm_script"),
        Contestant(name="examples' Trainer", run=f"{file}.examples_trainer"),
        Contestant(name="hf_tune", run=f"{file}.tuned"),
        Contestant(name="hf_tune, RandAugment", run=f"{file}.tuned", options={"augment": ["rand_augment"]}),
        Contestant(name="limit, GPU", run=f"{file}.limit", options=gpu),
        Contestant(name="examples' Trainer, GPU", run=f"{file}.examples_trainer", options=gpu),
        Contestant(name="hf_tune, GPU", run=f"{file}.tuned", options=gpu),
    ]


def _photographs() -> list[Contestant]:
    file = "contest_photographs"
    return [
        Contestant(name="JPEG plain loop, 0 workers", run=f"{file}.plain_loop", options={"workers": 0}),
        Contestant(name="JPEG plain loop, 2 workers", run=f"{file}.plain_loop", options={"workers": 2}),
        Contestant(name="JPEG examples' Trainer", run=f"{file}.examples_trainer", cache="primed"),
        Contestant(name="JPEG hf_tune, cold", run=f"{file}.tuned", cache="cold"),
        Contestant(name="JPEG hf_tune, warm", run=f"{file}.tuned", cache="primed"),
    ]


def _photograph_figures() -> list[Figure]:
    loops = ("JPEG plain loop, 0 workers", "JPEG plain loop, 2 workers")
    return [
        Figure(measure="P2b", title="JPEG files, cold: hf_tune / plain loop", quantity=RATE,
               above="JPEG hf_tune, cold", below=loops, at_least=1.0),
        Figure(measure="P2b", title="JPEG files, warm: hf_tune / plain loop", quantity=RATE,
               above="JPEG hf_tune, warm", below=loops, at_least=1.0),
        Figure(measure="P2b", title="JPEG files, warm: hf_tune / the examples' Trainer", quantity=RATE,
               above="JPEG hf_tune, warm", below=("JPEG examples' Trainer",), at_least=1.3),
    ]  # fmt: skip


def _probes() -> list[Contestant]:
    found = []
    for network in PROBED:
        for way in ("off", "auto"):
            options = {"network": network, "feature_cache": way}
            name = f"probe {network}, {way}"
            found.append(Contestant(name=name, run="contest_probes.tuned", options=options, max_rounds=3))
        name = f"probe {network}, bare loop"
        options = {"network": network}
        found.append(Contestant(name=name, run="contest_probes.bare_loop", options=options, max_rounds=3))
    return found


def _probe_figures() -> list[Figure]:
    figures = []
    for network, target in PROBED.items():
        off, auto, bare = (f"probe {network}, {way}" for way in ("off", "auto", "bare loop"))
        figures += [
            Figure(measure="P3", title=f"epochs after the first, {network}: without cache / with", quantity=SECONDS,
                   above=off, below=(auto,), at_least=target),
            Figure(measure="P3", title=f"ms per step on cached features, {network}", quantity=STEP, above=auto,
                   kind="value"),
            Figure(measure="P3", title=f"ms per step of a bare loop on features, {network}", quantity=STEP,
                   above=bare, kind="value"),
            Figure(measure="P3", title=f"evaluation loss with the cache minus without, {network}",
                   quantity="eval_loss", above=auto, below=(off,), kind="distance", at_most=1e-4),
            Figure(measure="P3", title=f"accuracy with the cache minus without, {network}", quantity="eval_accuracy",
                   above=auto, below=(off,), kind="distance", at_most=0.0),
        ]  # fmt: skip
    return figures


def _texts() -> list[Contestant]:
    file = "contest_texts"
    fixed, longest = {"padding": "max_length"}, {"padding": "longest"}
    return [
        Contestant(name="hf_tune, texts", run=f"{file}.tuned"),
        Contestant(name="Trainer, padded to 128", run=f"{file}.examples_trainer", options=fixed),
        Contestant(name="Trainer, padded to the longest", run=f"{file}.examples_trainer", options=longest),
    ]


def _starts() -> list[Contestant]:
    file = "contest_starts"
    return [
        Contestant(name="resnet_digits.yaml", run=f"{file}.first_step"),
        Contestant(name="imports", run=f"{file}.imports"),
        Contestant(name="hf-tune --help", run=f"{file}.short_help"),
    ]


def _memory() -> list[Contestant]:
    file = "contest_memory"
    found = [Contestant(name="ViT-S plain loop", run=f"{file}.plain_vit", max_rounds=2)]
    for peft in ("full", "lora"):
        for network, function in (("ViT-S", "tuned_vit"), ("MiniLM", "tuned_texts")):
            name, options = f"{network} {peft}", {"peft": peft}
            found.append(Contestant(name=name, run=f"{file}.{function}", options=options, max_rounds=2))
    for network in ("resnet18", "minilm"):
        for times in (1, 10):
            name, options = f"evaluate {network}, {times} x", {"network": network, "times": times}
            found.append(Contestant(name=name, run=f"{file}.evaluation", options=options, max_rounds=2))
    return found


def _memory_figures() -> list[Figure]:
    peak, above_imports = "peak_mib", "above_imports_mib"
    figures = [
        Figure(measure="P6", title="peak MiB, ViT-S: hf_tune / plain loop", quantity=peak, above="ViT-S full",
               below=("ViT-S plain loop",), at_most=1.05),
        Figure(measure="P6", title="peak MiB above the imports, ViT-S: hf_tune / plain loop", quantity=above_imports,
               above="ViT-S full", below=("ViT-S plain loop",)),
    ]  # fmt: skip
    for network in ("ViT-S", "MiniLM"):
        full, lora = f"{network} full", f"{network} lora"
        figures += [
            Figure(measure="P6", title=f"peak MiB, {network}: LoRA / full", quantity=peak, above=lora, below=(full,),
                   at_most=0.7),
            Figure(measure="P6", title=f"peak MiB above the imports, {network}: LoRA / full", quantity=above_imports,
                   above=lora, below=(full,)),
        ]  # fmt: skip
    for network in ("resnet18", "minilm"):
        once, often = f"evaluate {network}, 1 x", f"evaluate {network}, 10 x"
        figures.append(
            Figure(measure="P7", title=f"peak MiB of an evaluation, {network}: 10 x the rows / 1 x", quantity=peak,
                   above=often, below=(once,), at_most=1.05)
        )  # fmt: skip
    return figures


def _rest() -> list[Contestant]:
    found = [
        Contestant(name="hf_tune, tiny", run="contest_overheads.tuned"),
        Contestant(name="Trainer, tiny", run="contest_overheads.plain_trainer"),
        Contestant(name="bare loop, tiny", run="contest_overheads.bare_loop"),
        Contestant(name="predict", run="contest_predictions.tuned"),
        Contestant(name="predict, a user's loop", run="contest_predictions.plain_loop"),
        Contestant(name="predict, forward alone", run="contest_predictions.forward"),
    ]
    for peft in PARALLEL:
        for count in (1, 2):
            name, options = f"{peft}, {count} processes", {"peft": peft, "processes": count}
            run = "contest_processes.tuned"
            found.append(Contestant(name=name, run=run, options=options, processes=count, max_rounds=3))
    return found


def _parallel_figures() -> list[Figure]:
    return [
        Figure(measure="P8", title=f"images/s, {peft}: two processes of a thread / one of two threads", quantity=RATE,
               above=f"{peft}, 2 processes", below=(f"{peft}, 1 processes",), at_least=target)
        for peft, target in PARALLEL.items()
    ]  # fmt: skip
