"""Own early stopping: loss on held-out rows after every epoch, and the weights that were best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics.fs import write_text
from webslm.training.turns import IGNORED, EncodedRow

if TYPE_CHECKING:
    from torch import Tensor

BEST, CURVE = "best.safetensors", "held_out.json"


class HeldOut:
    """What held-out rows said so far; saved with every checkpoint, so that it can go on."""

    def __init__(self, rows: Sequence[EncodedRow], *, patience: int, batch_size: int) -> None:
        """Stop after ``patience`` epochs in a row without a lower loss."""
        self.curve: list[list[float]] = []
        """[step, mean nats per token that carries loss] after every epoch."""
        self._rows = rows
        self._patience = patience
        self._batch_size = batch_size
        self._best: dict[str, Tensor] = {}

    @property
    def best_step(self) -> int:
        """Return the step whose weights are kept."""
        return int(min(self.curve, key=lambda point: point[1])[0])

    @property
    def is_over(self) -> bool:
        """Return whether the last epochs were no better than one before."""
        steps = [step for step, _ in self.curve]
        return len(steps) - 1 - steps.index(self.best_step) >= self._patience

    def look(self, model: Any, step: int) -> None:
        """Measure after an epoch and keep the weights if they are the best so far."""
        self.curve.append([step, round(self._loss(model), 6)])
        if self.best_step == step:
            self._best = {name: weight.detach().clone() for name, weight in _learning(model)}

    def restore(self, model: Any) -> None:
        """Put the best weights back."""
        for name, weight in _learning(model):
            weight.data.copy_(self._best[name])

    def save(self, folder: Path) -> None:
        """Write both into a checkpoint."""
        from safetensors.torch import save_file

        write_text(folder / CURVE, json.dumps(self.curve))
        save_file({name: weight.contiguous() for name, weight in self._best.items()}, folder / BEST)

    def load(self, folder: Path, device: str) -> None:
        """Take both from a checkpoint."""
        from safetensors.torch import load_file

        self.curve = json.loads((folder / CURVE).read_text(encoding="utf-8"))
        self._best = load_file(folder / BEST, device=device)

    def _loss(self, model: Any) -> float:
        import torch
        from torch.nn.functional import cross_entropy
        from torch.nn.utils.rnn import pad_sequence

        total, count = 0.0, 0
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            for start in range(0, len(self._rows), self._batch_size):
                rows = self._rows[start : start + self._batch_size]
                pieces = [
                    [torch.tensor(row.input_ids) for row in rows],
                    [torch.tensor(row.labels) for row in rows],
                    [torch.ones(len(row.input_ids), dtype=torch.long) for row in rows],
                ]
                ids, labels, mask = (
                    pad_sequence(piece, batch_first=True, padding_value=filler).to(model.device)
                    for piece, filler in zip(pieces, (0, IGNORED, 0), strict=True)
                )
                logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
                told = labels[:, 1:].flatten()
                total += float(
                    cross_entropy(
                        logits[:, :-1].flatten(0, 1).float(),
                        told,
                        ignore_index=IGNORED,
                        reduction="sum",
                    )
                )
                count += int((told != IGNORED).sum())
        model.train(was_training)
        return total / count


def _learning(model: Any) -> list[tuple[str, Any]]:
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def callback(held_out: HeldOut, steps_per_epoch: int) -> Any:
    """Return the trainer callback that looks after every epoch and ends a training in time."""
    from transformers import TrainerCallback

    class Stopper(TrainerCallback):  # type: ignore[misc]
        """Looks with an epoch's last step, before its checkpoint is written."""

        def on_step_end(
            self, _args: Any, state: Any, control: Any, model: Any = None, **_: Any
        ) -> None:
            if state.global_step % steps_per_epoch == 0:
                held_out.look(model, state.global_step)
                if held_out.is_over:
                    control.should_training_stop = True

        def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
            if held_out.curve:
                held_out.save(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    return Stopper()
