"""The verbs of `hf-tune`: one file each; the first word of the file's name is the verb."""
