"""The estimate of memory."""

import torch

from hf_tune.training.cost_estimate import estimate_memory_bytes


def test_weights_gradients_states_and_activations_are_counted() -> None:
    with torch.device("meta"):
        model = torch.nn.Sequential(
            torch.nn.Linear(10, 20, bias=False), torch.nn.ReLU(), torch.nn.Linear(20, 5, bias=False)
        )
    model[0].requires_grad_(False)

    class Named(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    # 300 weights of 4 bytes; 100 trained with 12 bytes more; 20 + 20 + 5 activations of 4 bytes for 8 rows.
    estimate = estimate_memory_bytes(Named(), {"x": torch.zeros(1, 10)}, 8)
    assert estimate == (1200 + 1200 + 45 * 4 * 8, True)


def test_a_network_that_looks_at_its_inputs_is_counted_without_activations() -> None:
    class Looks(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(10, 20, bias=False, device="meta")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x) if x.sum() > 0 else x  # a meta tensor has no values to look at

    assert estimate_memory_bytes(Looks(), {"x": torch.zeros(1, 10)}, 8) == (200 * 4 + 200 * 12, False)
