"""Own the proof that a checkpoint holds exactly the weights of a shape, asked before any work.

What is missing transformers fills with random numbers, what is too much it leaves out, and both
build: so nothing is loaded that was not proved whole here. Headers are read, and the weights only
of a head that should equal the embedding table.
"""

from __future__ import annotations

from webslm.basics.errors import StageFailed
from webslm.model.architectures import architecture
from webslm.model.weights.checkpoint import Checkpoint
from webslm.schema import ShapeConf

TIED_HEAD = "lm_head.weight"
EMBEDDING = "model.embed_tokens.weight"
IGNORABLE = (".rotary_emb.inv_freq",)
"""Buffers that old checkpoints carry and that follow from the shape."""


def check_weights(checkpoint: Checkpoint, shape: ShapeConf) -> None:
    """Check that a checkpoint has every tensor of a shape, in that size, and no other.

    Raises:
        StageFailed: Names what is missing, unused, of another size or no weight.
    """
    tied = shape.tie_word_embeddings
    has_head, has_table = (name in checkpoint.tensors for name in (TIED_HEAD, EMBEDDING))
    if not tied and has_table and not has_head:
        raise StageFailed(
            f"the checkpoint has no {TIED_HEAD}, and its config.json does not tie the head to the "
            "embedding table",
            hint='where the model ties them write "tie_word_embeddings": true into config.json, '
            "else save it again with its head",
        )
    parameters = architecture(shape.model_type).parameters(shape)
    checkpoint.check(parameters, ignorable=(*IGNORABLE, *((TIED_HEAD,) if tied else ())))
    if tied and has_head and not _same(checkpoint):
        raise StageFailed(
            f"{TIED_HEAD} differs from {EMBEDDING}, and config.json says that they are one",
            hint='where the head is its own write "tie_word_embeddings": false into config.json',
        )


def _same(checkpoint: Checkpoint) -> bool:
    import numpy as np

    head, table = (checkpoint.tensors[name] for name in (TIED_HEAD, EMBEDDING))
    if head.shape != table.shape:
        return False
    pairs = zip(checkpoint.blocks(TIED_HEAD), checkpoint.blocks(EMBEDDING), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)
