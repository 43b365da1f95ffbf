"""The loop: the one Trainer subclass and what it needs."""
