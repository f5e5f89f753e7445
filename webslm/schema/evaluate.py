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
    min_follow_up_right: float | None = None
    """As ``min_right``, of the last questions of conversations."""
    min_held_out_stop_rate: float | None = None
    """As ``min_stop_rate``, of held-out questions."""
    min_manner: float | None = None
    """Share of held-out answers that bear every signature (``data.closing`` and
    ``data.signatures``), quantized model."""
    min_known: float | None = None
    """Share of general answers that hold an expected word, quantized model."""
    max_general_loss_rise: float | None = None
    """How far the loss on general answers may rise from the base to the quantized model, as a
    share of the base's: 0.1 allows a tenth."""
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
class QuestionsConf:
    """Which questions the survival report asks."""

    rows: int = 16
    """Questions of the trained and of the held-out rows each, evenly spaced; those that the
    browser is asked are among them."""
    paraphrases: int = 32
    """Questions of ``data.paraphrases_path``, evenly spaced; more than of the others, as each is
    right or wrong."""
    follow_ups: int = 8
    """Training rows of several turns whose last question is asked, evenly spaced."""
    general_path: str = "shipped:general/questions.jsonl"
    """Chat JSONL of questions outside the domain: what the fine-tune may have forgotten. A row's
    "expected" lists words of which a right answer holds one."""
    general_rows: int = 40
    """Rows of ``general_path`` whose answers' loss is measured, evenly spaced."""
    general_asked: int = 16
    """How many of them are asked, too."""
    max_answer_tokens: int = 96
    """Tokens after which an answer that did not stop is cut."""


@dataclass
class EvaluateConf(QuestionsConf):
    """The survival report."""

    name: str = "off"
    """Name of the option."""
    enabled: bool = False
    """Whether the build has the stages ``evaluate_base`` and ``evaluate``."""
    sampled: int = 8
    """Trained and held-out questions, together, that each way of sampling is asked."""
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
