"""Own every check of a composed configuration before work starts. Report all problems at once."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator

from webslm.basics import compilers
from webslm.basics.errors import ConfigError, Problem
from webslm.basics.limits import positive
from webslm.basics.paths import expanded
from webslm.bundle import hosting
from webslm.compiler.windows import window_problems
from webslm.config.checks import base as validate_base
from webslm.config.checks import data as rows
from webslm.config.checks import evaluation, footprint, pairing, precision
from webslm.config.checks import publish as publish_rules
from webslm.config.checks import training as training_rules
from webslm.engine.machine.matrix import mismatches
from webslm.engine.machine.toolchain import CHOICES
from webslm.engine.table import STAGE_NAMES, STAGES
from webslm.model.weights.format import Format
from webslm.schema import Config, Finetune, Mode, Scale

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def validate(cfg: Config) -> None:
    """Check values and combinations.

    Raises:
        ConfigError: Holds every problem, each with its key and what to type instead.
    """
    problems = [problem for check in CHECKS for problem in check(cfg)]
    if problems:
        raise ConfigError(problems=tuple(problems))


def _run(cfg: Config) -> Iterator[Problem]:
    stages = ", ".join(STAGE_NAMES)
    if not NAME.fullmatch(cfg.name):
        yield (
            f"name: {cfg.name!r} is not a plain name",
            "use letters, digits, '.', '_' and '-', at most 100",
        )
    if not cfg.output_dir.strip():
        yield "output_dir: is empty", "output_dir=outputs/my-build"
    unwanted = {spec.name for spec in STAGES if not spec.wanted(cfg)}
    for key, stage in (
        ("explain", cfg.explain),
        ("until", cfg.until),
        ("from", cfg.from_stage),
        ("only", cfg.only),
    ):
        if stage is not None and stage not in STAGE_NAMES:
            yield f"{key}: no stage {stage!r}", f"one of {stages}"
        if stage in unwanted:
            yield (
                f"{key}: this build has no stage {stage}",
                "finetune=none takes finetune away; align=dpo adds align, "
                "scale=awq scale, evaluate=on evaluate, precision=both compile_f16",
            )
    if cfg.only is not None and (cfg.until is not None or cfg.from_stage is not None):
        yield "only: cannot stand beside until or from", "only=STAGE builds that one stage"
    for stage in cfg.force:
        if stage not in STAGE_NAMES:
            yield f"force: no stage {stage!r}", f"a list of {stages}, such as force=[compile]"
    if not 0 <= cfg.seed < 2**32:
        yield f"seed: {cfg.seed} is out of range", "0 to 4294967295"


def _data(cfg: Config) -> Iterator[Problem]:
    if not 0 <= cfg.data.held_out_fraction < 1:
        yield (
            f"data.held_out_fraction: {cfg.data.held_out_fraction} is not a share",
            "0 to below 1, such as data.held_out_fraction=0.1",
        )
    named = [(f"data.signatures.{name}", text) for name, text in cfg.data.signatures.items()]
    for key, pattern in (
        ("data.closing", cfg.data.closing),
        ("domain.closing", cfg.domain.closing),
        *named,
    ):
        try:
            re.compile(pattern or "")
        except re.error as exc:
            yield f"{key}: not a regular expression: {exc}", "null for no rule"
            return
    yield from rows.problems(cfg.data)


def _quant(cfg: Config) -> Iterator[Problem]:
    yield from Format(cfg.quant).problems()


def _scale(cfg: Config) -> Iterator[Problem]:
    if cfg.scale is Scale.awq and cfg.quant.bits == 0:
        yield (
            f"scale: awq eases rounding, and quant={cfg.quant.name} rounds no weights",
            "scale=none, or a format of 3, 4 or 8 bits such as quant=q4f32_1",
        )
    if cfg.scale is Scale.awq and cfg.compiler.name == compilers.MLC_LLM:
        yield (
            "scale: awq chooses the peaks of weight groups, and mlc_llm packs by its own",
            "scale=none, or compiler=tvm",
        )


def _windows(cfg: Config) -> Iterator[Problem]:
    compiler, limit = cfg.compiler, cfg.base.shape.max_position_embeddings
    yield from window_problems(compiler, cfg.base.shape)
    if cfg.finetune is not Finetune.none and cfg.lora.max_length > limit:
        yield (
            f"lora.max_length: {cfg.lora.max_length} is above the {limit} tokens "
            "the base was made for",
            f"lora.max_length={limit}",
        )
    budgets = ("max_shaders", "max_wasm_bytes")
    given = tuple(name for name in budgets if getattr(compiler, name) is not None)
    yield from positive("compiler", compiler, given)
    yield from compilers.problems(compiler)
    if not 0 <= compiler.opt_level <= 3:
        yield f"compiler.opt_level: {compiler.opt_level} is no level", "0 to 3"


def _app(cfg: Config) -> Iterator[Problem]:
    decoding = cfg.app.decoding
    if not 0 <= decoding.temperature <= 2:
        yield f"app.decoding.temperature: {decoding.temperature} is out of range", "0 to 2"
    if not 0 < decoding.top_p <= 1:
        yield f"app.decoding.top_p: {decoding.top_p} is no share", "above 0 to 1"
    if not 0 < decoding.repetition_penalty <= 2:
        yield (
            f"app.decoding.repetition_penalty: {decoding.repetition_penalty} is out of range",
            "above 0 to 2; 1 is none",
        )
    if not 0 < decoding.max_tokens < cfg.compiler.context_window_size:
        yield (
            f"app.decoding.max_tokens: {decoding.max_tokens} does not fit the context of "
            f"{cfg.compiler.context_window_size}",
            "leave room for the prompt",
        )


def _modes(cfg: Config) -> Iterator[Problem]:
    app, names = cfg.app, ", ".join(mode.value for mode in Mode)
    if not app.modes or len(set(app.modes)) != len(app.modes):
        yield "app.modes: is empty or names a mode twice", f"some of {names}: app.modes=[chat]"
    # Rows of the user's own without a domain are documents themselves.
    has_documents = cfg.domain.knowledge_path is not None or cfg.domain.train_path is None
    if Mode.product in app.modes and not has_documents:
        yield (
            "app.modes: product retrieves from documents, and the domain has none",
            "domain.knowledge_path=FILE with a JSON list of {id, title, content}, or app=chat",
        )
    yield from positive("app.proof", app.proof, ("questions", "samples"))
    yield from positive("app.retrieval", app.retrieval, ("passages",))
    if app.retrieval.min_score < 0:
        yield f"app.retrieval.min_score: {app.retrieval.min_score} is negative", "0 or more"
    kind = app.answer_schema.get("type", "object")
    if kind != "object":
        yield f"app.answer_schema: of type {kind!r}", "a JSON Schema of type object"


def _verify(cfg: Config) -> Iterator[Problem]:
    verify = cfg.verify
    counts = ("num_prompts", "num_greedy", "num_tokens", "max_answer_tokens", "max_visit_tokens")
    yield from positive("verify", verify, (*counts, "timeout_s"))
    for name in ("min_greedy_agreement", "min_forced_top1_agreement", "min_rouge_l"):
        value = getattr(verify, name)
        if not 0 <= value <= 1:
            yield f"verify.{name}: {value} is not a share", "0 to 1"
    if not 0 <= verify.min_answers <= verify.num_prompts:
        yield (
            f"verify.min_answers: {verify.min_answers} of {verify.num_prompts} prompts cannot be",
            "at most verify.num_prompts",
        )
    if not 0 <= verify.min_follow_ups <= verify.num_follow_ups:
        yield (
            f"verify.min_follow_ups: {verify.min_follow_ups} of {verify.num_follow_ups} "
            "conversations cannot be",
            "0 to verify.num_follow_ups",
        )
    if verify.tie_gap < 0:
        yield f"verify.tie_gap: {verify.tie_gap} is negative", "0 or more"


def _runtime(cfg: Config) -> Iterator[Problem]:
    yield from mismatches(cfg.runtime)
    python = cfg.compiler.python
    if python not in CHOICES and shutil.which(expanded(python)) is None:
        yield f"compiler.python: no program at {python!r}", f"{', '.join(CHOICES)} or a path"


CHECKS: tuple[Callable[[Config], Iterator[Problem]], ...] = (
    _run,
    _data,
    validate_base.source_problems,
    validate_base.shape_problems,
    training_rules.problems,
    _quant,
    _scale,
    _windows,
    _app,
    _modes,
    hosting.problems,
    footprint.problems,
    publish_rules.problems,
    _verify,
    evaluation.problems,
    _runtime,
    pairing.problems,
    precision.problems,
)
