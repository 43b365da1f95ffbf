"""The network: Hub and timm checkpoints with a head that fits the labels."""
