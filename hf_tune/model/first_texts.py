"""What a first recipe for texts starts from: checkpoint, length, method; each with its reason."""

from hf_tune.task import Choice


FEW_ROWS = 1000
_CHARACTERS_A_TOKEN = 3
"""A cautious guess: English has more than 4, and cutting texts off is worse than room that is not used."""
_LONGEST = 512


def choose_text_checkpoint(latin: float, has_gpu: bool) -> Choice:
    """Return a checkpoint that knows the language, by the share of letters from a to z."""
    if latin < 0.9:
        why = f"{1 - latin:.0%} of the letters are beyond a to z: it knows 50 languages"
        return Choice(value="sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", why=why)
    if has_gpu:
        return Choice(value="FacebookAI/roberta-base", why="English, 125 million weights: for a GPU")
    why = "English, 23 million weights: a CPU trains it"
    return Choice(value="sentence-transformers/all-MiniLM-L6-v2", why=why)


def choose_max_length(characters: int) -> dict[str, Choice]:
    """Return a limit that 19 of 20 texts keep to; nothing where the checkpoint's own is near."""
    tokens = 32
    while tokens < characters / _CHARACTERS_A_TOKEN:
        tokens *= 2
    if tokens >= _LONGEST:
        return {}
    why = f"tokens; 19 of 20 texts have at most {characters} characters, and longer ones are cut"
    return {"max_length": Choice(value=tokens, why=why)}


def choose_text_method(rows: int, has_gpu: bool) -> Choice:
    """Return a word under `peft:`."""
    if has_gpu and rows >= FEW_ROWS:
        return Choice(value="full", why=f"{rows:,} rows are enough to train all weights")
    why = f"{rows:,} rows: few weights are trained" if rows < FEW_ROWS else "twice as fast as `full` on a CPU"
    return Choice(value="lora", why=f"{why}; peft=full trains all")
