"""Which weights train: full, probe, LoRA or any other PEFT config."""
