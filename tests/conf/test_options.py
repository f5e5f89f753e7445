"""Every option of every group composes, passes the checks and plans."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from tests import checkpoints, gguf_files
from tests.integration.architecture_models import random_model
from webslm.basics.errors import ConfigError
from webslm.basics.paths import conf_dir, data_dir, resolve_data
from webslm.config.checks.precision import left_out, settled, unsettled
from webslm.config.checks.preflight import preflight
from webslm.config.checks.values import validate
from webslm.config.compose import compose
from webslm.engine.plan import Step, plan
from webslm.engine.table import STAGE_NAMES, STAGES
from webslm.schema import CompileStageConf, Config

NO_NODES = {"hydra"}
GROUPS = sorted(
    path.name for path in conf_dir().iterdir() if path.is_dir() and path.name not in NO_NODES
)
OPTIONS = [
    (group, path.stem) for group in GROUPS for path in sorted((conf_dir() / group).glob("*.yaml"))
]
NEEDED = {
    ("publish", "pages"): ("publish.remote=site.git",),
    ("compiler", "prebuilt"): (
        "compiler.url=https://host.invalid/a.wasm",
        f"compiler.sha256={'0' * 64}",
    ),
    **{("runtime", row): ("compiler=mlc_llm",) for row in ("mlc_llm_0_19", "mlc_llm_0_20")},
}
"""Values that an option cannot do without."""
OTHERWISE = {("base", "smollm2_135m_wheel"): "smollm2_135m", ("domain", "auto"): "medical"}
"""Options that are another's choice from another place, and carry its name."""
DOMAINS = sorted(
    path.stem for path in (conf_dir() / "domain").glob("*.yaml") if path.stem != "auto"
)


def keys(*overrides: str) -> dict[str, str]:
    return {step.stage: step.key for step in plan(compose(list(overrides)))}


def changed(*overrides: str) -> set[str]:
    before, after = keys(), keys(*overrides)
    return {stage for stage in before if before[stage] != after[stage]}


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_option_composes_passes_and_plans(group: str, option: str, tmp_path: Path) -> None:
    words = [f"{group}={option}", *NEEDED.get((group, option), ())]
    if option == "local":
        write_folder(tmp_path)
        words.append(f"base.path={tmp_path}")
    if option == "gguf":
        shape = gguf_files.LAYOUTS["smollm2"]
        file = gguf_files.write(tmp_path / "m.gguf", gguf_files.parts(random_model(shape), shape))
        words += [f"base.path={file}", "lora.max_length=256", "app.decoding.max_tokens=64"]
    cfg = compose(words)
    preflight(cfg)
    wanted = [spec.name for spec in STAGES if spec.wanted(cfg)]
    assert [step.stage for step in plan(cfg)] == wanted
    named = getattr(getattr(cfg, group), "name", option)
    assert named == OTHERWISE.get((group, option), option)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_option_says_what_it_is_in_its_first_lines(group: str, option: str) -> None:
    text = (conf_dir() / group / f"{option}.yaml").read_text(encoding="utf-8")
    comments = [line for line in text.splitlines()[:2] if line.startswith("# ")]
    assert any("@package" not in line for line in comments)


def test_groups_are_fields_of_the_schema() -> None:
    assert set(GROUPS) <= {field.name for field in fields(Config)}


def test_stages_need_only_earlier_stages() -> None:
    for index, spec in enumerate(STAGES):
        assert set(spec.needs) <= set(STAGE_NAMES[:index])


def test_real_base_takes_the_reference_recipe_and_tiny_its_own() -> None:
    lora = compose(["base=qwen2_5_0_5b"]).lora
    assert (lora.r, lora.alpha, lora.dropout, lora.epochs) == (16, 32, 0.05, 3)
    assert (lora.learning_rate, lora.batch_size, lora.gradient_accumulation_steps) == (2e-4, 2, 8)
    assert (lora.max_length, len(lora.target_modules)) == (1024, 7)
    assert compose(["base=tiny"]).lora != lora
    assert compose(["base=tiny", "lora=reference"]).lora == lora


def test_name_comes_from_domain_base_and_quant() -> None:
    cfg = compose(["domain=legal", "quant=q0f32"])
    assert cfg.name == "legal-smollm2_135m-q0f32"
    assert cfg.output_dir == "outputs/legal-smollm2_135m-q0f32"


def test_quant_changes_neither_data_nor_training() -> None:
    made = [keys("base=tiny", f"quant={name}") for name in ("q4f32_1", "q0f32")]
    assert {stage for stage, key in made[0].items() if made[1][stage] != key} == {
        *("convert", "evaluate", "chat_config", "compile", "golden", "bundle", "verify"),
    }


def test_quant_changes_a_fine_tune_that_knows_its_rounding() -> None:
    assert {"finetune", "merge"} <= changed("quant=q0f32")
    assert not {"data", "base", "inspect"} & changed("quant=q0f32")


def test_dataset_changes_everything_but_base_and_library(tmp_path: Path) -> None:
    source = resolve_data("shipped:medical/train.jsonl").read_text(encoding="utf-8")
    mine = tmp_path / "mine.jsonl"
    mine.write_text("\n".join(source.splitlines()[:-1]) + "\n", encoding="utf-8")
    assert changed(f"data.path={mine}") == set(keys()) - {"base", "compile"}


def test_same_rows_at_another_path_change_nothing(tmp_path: Path) -> None:
    moved = []
    for name, key in (
        ("train", "path"),
        ("held_out", "held_out_path"),
        ("paraphrases", "paraphrases_path"),
    ):
        text = resolve_data(f"shipped:medical/{name}.jsonl").read_bytes()
        (tmp_path / f"{name}.jsonl").write_bytes(text)
        moved.append(f"data.{key}={tmp_path}/{name}.jsonl")
    assert changed("domain=medical", *moved) == set()


def test_place_and_browser_change_no_key() -> None:
    assert changed("output_dir=/tmp/x", "verify.browser=chromium", "verify.timeout_s=1") == set()


def test_decoding_changes_only_what_samples() -> None:
    sampled = {"evaluate", "chat_config", "bundle", "verify"}
    assert changed("app.decoding.temperature=0.5") == sampled


def test_prompts_rendered_by_the_page_change_the_site_and_no_weights() -> None:
    assert compose(["app.template=page"]).app.template.value == "page"
    assert changed("app.template=page") == {"chat_config", "bundle", "verify"}
    with pytest.raises(ConfigError, match=r"app\.template"):
        compose(["app.template=server"])


def test_until_ends_the_plan() -> None:
    steps: list[Step] = plan(compose(["until=merge"]))
    assert [step.stage for step in steps] == ["data", "base", "inspect", "finetune", "merge"]


def test_own_dataset_is_split_where_no_held_out_file_is_named(tmp_path: Path) -> None:
    cfg = compose([f"data.path={resolve_data('shipped:legal/train.jsonl')}"])
    assert STAGES[0].configure(cfg).data.held_out_path is None  # type: ignore[union-attr]


@pytest.mark.parametrize("domain", DOMAINS)
def test_shipped_questions_are_three_trained_ones_and_one_held_out(domain: str) -> None:
    cfg = compose([f"domain={domain}"])
    trained = asked(cfg.domain.train_path or "")
    held_out = asked(cfg.domain.held_out_path or "")
    questions = set(cfg.domain.questions or [])
    assert len(questions) == 4
    assert len(questions & trained) == 3
    assert len(questions & held_out) == 1


@pytest.mark.parametrize("domain", DOMAINS)
def test_shipped_set_is_large_clean_and_closes_as_asked(domain: str) -> None:
    from webslm.rows.examination import examine
    from webslm.rows.source import load_split

    conf = STAGES[0].configure(compose([f"domain={domain}"])).data  # type: ignore[union-attr]
    stats = examine(load_split(conf), conf)
    train, held_out = stats["train"], stats["held_out"]
    assert train["rows"] >= (300 if stats["paraphrases"] else 60)
    assert train["multi_turn_rows"] >= 5
    assert held_out["rows"] >= 10
    assert train["closing_share"] == held_out["closing_share"] == 1
    unwanted = {"personal_data", "unfinished", "signature", "left_out", "near_leaks"}
    assert not unwanted & {item["kind"] for item in stats["findings"]}


@pytest.mark.parametrize("domain", DOMAINS)
def test_shipped_paraphrases_are_worded_as_no_row_is(domain: str) -> None:
    from webslm.rows.similarity import near_duplicates
    from webslm.rows.source import load_split

    conf = STAGES[0].configure(compose([f"domain={domain}"])).data  # type: ignore[union-attr]
    split = load_split(conf)
    pairs = near_duplicates(split.paraphrases, split.train, threshold=0.75)
    assert [pair.row.questions for pair in pairs if pair.part == "question"] == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_shipped_knowledge_is_ten_or_more_short_documents(domain: str) -> None:
    documents = json.loads((data_dir() / domain / "knowledge.json").read_text(encoding="utf-8"))
    assert len(documents) >= 10
    assert len({document["id"] for document in documents}) == len(documents)
    for document in documents:
        assert document["title"]
        assert 40 <= len(document["content"].split()) <= 150


def test_every_domain_shares_the_embedded_base_and_its_library() -> None:
    found = [keys(f"domain={domain}") for domain in DOMAINS]
    assert len({domain["base"] for domain in found}) == 1
    assert len({domain["compile"] for domain in found}) == 1


def test_untuned_build_has_no_adapter_and_shares_the_library() -> None:
    tuned, untuned = keys(), keys("finetune=none")
    assert set(tuned) - set(untuned) == {"inspect", "finetune"}
    assert untuned["base"] == tuned["base"]
    assert untuned["compile"] == tuned["compile"]
    assert untuned["merge"] != tuned["merge"]
    verify = next(step for step in plan(compose(["finetune=none"])) if step.stage == "verify")
    assert "finetune" not in verify.needs
    assert verify.conf.verify.min_answers == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(("dtype", "name"), [("float16", "q4f16_1"), ("float32", "q4f32_1")])
def test_chosen_precision_shares_every_artifact_with_the_declared_format(
    dtype: str, name: str
) -> None:
    cfg = settled(compose(["base=tiny", "quant=auto"]), {"dtype": dtype}, ())
    found = {step.stage: step.key for step in plan(cfg)}
    assert cfg.quant == compose([f"quant={name}"]).quant
    declared = keys("base=tiny", f"quant={name}", "name=medical-tiny-auto")
    assert set(found) - {"calibrate"} == set(declared)
    library = {stage: found[stage] for stage in ("convert", "compile", "bundle", "verify")}
    assert library == {stage: declared[stage] for stage in library}


def test_open_precision_runs_no_further_than_calibration() -> None:
    steps = plan(unsettled(compose(["quant=auto"])))
    before = ["data", "base", "inspect", "finetune", "merge"]
    assert [step.stage for step in steps] == [*before, "calibrate"]


def test_two_libraries_share_every_artifact_but_the_site() -> None:
    one, asked = keys("name=two"), compose(["precision=both", "name=two"])
    cfg = settled(asked, {"dtype": "float16"}, ())
    steps = {step.stage: step for step in plan(cfg)}
    assert set(steps) - set(one) == {"calibrate", "compile_f16"}
    changes = {stage for stage, key in one.items() if steps[stage].key != key}
    assert changes == {"bundle", "verify"}
    conf = steps["compile_f16"].conf
    assert isinstance(conf, CompileStageConf)
    assert (conf.quant.dtype, conf.activations) == ("float32", "float16")
    open_format = compose(["precision=both", "quant=auto", "name=two"])
    assert settled(open_format, {"dtype": "float16"}, ()) == cfg


def test_activations_near_the_limit_leave_one_library_and_say_why() -> None:
    asked, found = compose(["precision=both"]), {"dtype": "float32", "reason": "float32: too large"}
    cfg = settled(asked, found, ())
    assert "compile_f16" not in {step.stage for step in plan(cfg)}
    assert cfg.quant == asked.quant
    assert (
        left_out(asked, cfg, found) == "precision=both: no library for float16. float32: too large"
    )
    allowed = settled(asked, {"dtype": "float16"}, ())
    assert left_out(asked, allowed, {"dtype": "float16"}) is None
    # Built again from its lock, such a build asks the same question and gets the same answer.
    assert settled(cfg, found, ()) == cfg


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quant=q4f16_1"], "quant=q4f16_1 keeps float16 ones"),
        (["quant=q0f16"], "quant=q0f16 keeps float16 ones"),
        (["compiler=mlc_llm"], "which compiler=mlc_llm does not"),
        (list(NEEDED["compiler", "prebuilt"]), "which compiler=prebuilt does not"),
    ],
)
def test_two_libraries_that_cannot_be_are_refused(words: list[str], said: str) -> None:
    if said.startswith("which compiler=prebuilt"):
        words = ["compiler=prebuilt", *words]
    with pytest.raises(ConfigError, match=said):
        validate(compose([*words, "precision=both"]))


def test_scaling_adds_its_stage_and_shares_the_library() -> None:
    plain, scaled = keys("base=tiny"), keys("base=tiny", "scale=awq")
    assert set(scaled) - set(plain) == {"scale"}
    assert {stage for stage in plain if plain[stage] != scaled[stage]} == {
        *("convert", "evaluate", "golden", "bundle", "verify"),
    }
    cfg = settled(compose(["quant=auto", "scale=awq"]), {"dtype": "float16"}, ())
    step = next(step for step in plan(cfg) if step.stage == "scale")
    assert step.conf.quant.name == "q4f16_1"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["q0f32", "q0f16"])
def test_scaling_for_a_format_that_rounds_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"quant={name} rounds no weights"):
        preflight(compose([f"quant={name}", "scale=awq"]))


def test_scaling_beside_a_packer_of_its_own_is_refused() -> None:
    with pytest.raises(ConfigError, match="mlc_llm packs by its own"):
        validate(compose(["compiler=mlc_llm", "scale=awq"]))


def test_local_base_takes_shape_and_windows_from_its_folder(tmp_path: Path) -> None:
    write_folder(tmp_path, max_position_embeddings=1000)
    cfg = compose(["base=local", f"base.path={tmp_path}"])
    assert (cfg.base.shape.hidden_size, cfg.base.shape.num_hidden_layers) == (16, 2)
    assert cfg.base.shape.rope_theta == 12345.0
    assert cfg.compiler.context_window_size == cfg.base.context_window_size == 1000
    chosen = ["base=local", f"base.path={tmp_path}", "compiler.context_window_size=300"]
    assert compose(chosen).compiler.context_window_size == 300


def test_local_base_is_keyed_by_its_files_not_its_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_folder(tmp_path / name)
    one, two = (keys("base=local", f"base.path={tmp_path / n}")["base"] for n in ("one", "two"))
    assert one == two
    (tmp_path / "two" / "model.safetensors").write_bytes(b"other")
    assert keys("base=local", f"base.path={tmp_path / 'two'}")["base"] != one


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_local_base_that_lacks_a_file_is_named_before_work(name: str, tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ConfigError, match=f"has no {re.escape(name)}"):
        compose(["base=local", f"base.path={tmp_path}"])


def test_local_base_of_an_unknown_model_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    write_folder(tmp_path)
    checkpoints.edit(tmp_path / "config.json", lambda config: config.update(model_type="gpt2"))
    with pytest.raises(ConfigError, match="model_type 'gpt2' cannot be compiled") as caught:
        compose(["base=local", f"base.path={tmp_path}"])
    assert "qwen2" in str(caught.value.problems[0][1])


def test_random_weights_need_no_pin_and_refuse_a_local_folder(tmp_path: Path) -> None:
    preflight(compose(["base=qwen2_5_0_5b", "base.hub.revision=null", "base.weights=random"]))
    write_folder(tmp_path)
    cfg = compose(["base=local", f"base.path={tmp_path}", "base.weights=random"])
    with pytest.raises(ConfigError, match=r"base\.weights"):
        preflight(cfg)


def write_folder(folder: Path, **changes: object) -> None:
    checkpoints.write(folder, **{"max_position_embeddings": 8192, "rope_theta": 12345.0, **changes})


def asked(path: str) -> set[str]:
    lines = resolve_data(path).read_text(encoding="utf-8").splitlines()
    return {
        message["content"]
        for line in lines
        for message in json.loads(line)["messages"]
        if message["role"] == "user"
    }
