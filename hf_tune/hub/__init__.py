"""The Hub: the `hub:` block, what is pushed and fetched, and the model card."""
