"""What a training computes in fewer passes is what torch and peft compute."""

from __future__ import annotations

from typing import Any

import pytest


def test_summed_loss_and_its_gradient_are_those_of_torch() -> None:
    import torch

    from webslm.training.losses import summed

    torch.manual_seed(0)
    logits = (5 * torch.randn(7, 33)).requires_grad_()
    targets = torch.randint(33, (7,))
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    (grad,) = torch.autograd.grad(expected, logits)
    # A product of its own, as a head makes it: the buffer is overwritten.
    found = summed(logits * 1.0, targets)
    (found_grad,) = torch.autograd.grad(found / 3, logits)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_grad, grad / 3)


def test_summed_loss_of_logits_that_are_no_numbers_is_none() -> None:
    import torch

    from webslm.training.losses import summed

    for broken in (float("nan"), float("inf")):
        logits = torch.zeros(2, 5)
        logits[1, 3] = broken
        assert not torch.isfinite(summed(logits, torch.tensor([0, 1])))


def _tuned(dropout: float, dtype: Any) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(8, 16, dtype=dtype)
            self.second = torch.nn.Linear(16, 6, bias=False, dtype=dtype)

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x))

    torch.manual_seed(0)
    config = LoraConfig(
        r=3,
        lora_alpha=7,
        lora_dropout=dropout,
        target_modules=["first", "second"],
        init_lora_weights=False,
    )
    return get_peft_model(Two(), config)


def _gradients(model: Any, x: Any) -> dict[str, Any]:
    import torch

    torch.manual_seed(1)
    model.zero_grad()
    made = model(x)
    made.float().square().sum().backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"": made.detach(), **grads}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_quick_lora_layers_give_what_peft_gives(dropout: float, kind: str) -> None:
    import torch

    from webslm.training import low_rank

    dtype = getattr(torch, kind)
    model = _tuned(dropout, dtype)
    x = torch.randn(2, 5, 8, dtype=dtype)
    expected = _gradients(model, x)
    assert low_rank.quicken(model) == 2
    found = _gradients(model, x)
    assert found.keys() == expected.keys()
    assert len(found) == 5
    rtol, atol = (1e-5, 1e-5) if kind == "float32" else (0.1, 0.5)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        torch.testing.assert_close(found[name], value, rtol=rtol, atol=atol)
    with model.disable_adapter():
        torch.testing.assert_close(model(x), model.get_base_model()(x))


def test_layers_that_are_not_plain_keep_the_arithmetic_of_peft() -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    from webslm.training import low_rank

    base = torch.nn.Sequential(torch.nn.Linear(4, 4))
    dora = get_peft_model(base, LoraConfig(r=2, target_modules=["0"], use_dora=True))
    assert low_rank.quicken(dora) == 0


def test_a_machine_without_a_gpu_is_told_so_and_auto_is_float32() -> None:
    from webslm.basics.errors import EnvironmentMismatch
    from webslm.schema import Arithmetic
    from webslm.training.methods import find_precision

    assert find_precision(Arithmetic.auto, "cpu") == "float32"
    with pytest.raises(EnvironmentMismatch, match="bfloat16 asked for, and this machine has no"):
        find_precision(Arithmetic.bfloat16, "cpu")
