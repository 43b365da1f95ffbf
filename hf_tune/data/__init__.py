"""Examples: loaded, split, labelled, encoded and augmented."""
