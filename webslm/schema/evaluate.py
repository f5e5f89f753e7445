"""Own what a user says of the survival report and its gates."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class GatesConf:
    """What fails a build; null: not asked for."""

    min_rouge_l: float | None = None
    """ROUGE-L of trained answers, quantized model."""
    min_chrf: float | None = None
    """chrF of trained answers (0 to 100), quantized model."""
    min_stop_rate: float | None = None
    """Share of trained questions whose answer ends by itself, quantized model."""
    min_signature_rate: float | None = None
    """Share of trained answers that bear every signature, quantized model."""
    min_right: float | None = None
    """Share of paraphrased questions that get their answer (ROUGE-L 0.8 or more), quantized
    model."""
    max_repetition: float | None = None
    """Share of repeated four-word runs in held-out answers, quantized model."""
    max_drift: float | None = None
    """Share of held-out answers in a script of neither question nor reference."""
    max_general_loss_increase: float | None = None
    """Nats a token that general answers may lose from the base to the quantized model."""
    min_top1_agreement: float | None = None
    """Share of held-out answer tokens that merge and quantization each leave the best."""
    max_kl: float | None = None
    """Nats a token that merge and quantization each may move held-out predictions."""


@dataclass
class SamplingConf:
    """A way of choosing tokens."""

    temperature: float = 0.3
    """What logits are divided by; lower is safer."""
    top_p: float = 0.9
    """Share of probability that tokens are drawn from."""
    repetition_penalty: float = 1.1
    """How much a token said before is held back; 1: not."""


@dataclass
class EvaluateConf:
    """The survival report."""

    name: str = "off"
    """Name of the option."""
    enabled: bool = False
    """Whether the build has the stage ``evaluate``."""
    rows: int = 16
    """Questions of each set (trained, held out, general), evenly spaced."""
    paraphrases: int = 48
    """Questions of ``data.paraphrases_path``, evenly spaced; more than of the others, as each is
    right or wrong."""
    general_path: str = "shipped:tiny/chat.jsonl"
    """Chat JSONL of questions outside the domain: what the fine-tune may have forgotten."""
    max_answer_tokens: int = 96
    """Tokens after which an answer that did not stop is cut."""
    seeds: int = 3
    """Answers of each question per way of sampling."""
    resamples: int = 1000
    """Bootstrap resamples behind an interval."""
    confidence: float = 0.95
    """Share of resamples inside an interval."""
    cautious: SamplingConf = field(default_factory=SamplingConf)
    """Low temperature with a penalty, tried beside greedy and the page's own sampling."""
    gates: GatesConf = field(default_factory=GatesConf)
    """What fails a build."""
