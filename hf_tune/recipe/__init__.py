"""What to do: one YAML file read into checked values, each with its line."""
