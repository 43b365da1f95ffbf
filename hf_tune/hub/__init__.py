"""The Hub: runs that are fetched from it, and the model card."""
