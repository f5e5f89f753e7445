"""Own what is made of a run: verify's verdict on it, where tokens part, and the speeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.dawn.builds import Build, Questions
from webslm.proof.observe import Answer, Asked, Best, Proof, Visit, per_token
from webslm.proof.verdict import REFERENCES, failures, score


def judge(build: Build, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of one build: a verdict for each kind of question, gates, speed."""
    speed = speed_entry(raw["speed"])
    asked, followed = list(raw["asked"]), list(raw["followed"])
    verdicts = {}
    for name, questions in build.questions.items():
        count = len(questions.rows)
        proof = _proof(raw, asked[:count], followed[:count], questions, speed)
        asked, followed = asked[count:], followed[count:]
        verdicts[name] = score(questions.rows, questions.references, proof, build.verify.verify) | {
            "forced_differences": {
                reference: _differences(questions, proof, reference) for reference in REFERENCES
            },
        }
    return {
        "name": build.name,
        "quant": build.quant,
        "web_llm": build.web_llm,
        "node": raw["node"],
        "machine": raw["machine"],
        "adapter": raw["adapter"],
        "library": raw["loaded"].get("library"),
        # Nobody taught the model the other questions: their answers pass no gate.
        "refused_gates": failures(verdicts["trained"], build.verify.verify),
        "verdicts": verdicts,
        "speed": speed,
    }


def _proof(
    raw: Mapping[str, Any],
    replies: Sequence[Mapping[str, Any]],
    followed: Sequence[Any],
    questions: Questions,
    speed: Mapping[str, Any],
) -> Proof:
    asked = [
        Asked(
            text=reply["text"],
            stopped=reply["finish"] == "stop",
            tokens=reply["tokens"],
            best=best_logits(reply["steps"]),
            num_prompt_tokens=reply["promptTokens"],
        )
        for reply in replies
    ]
    return Proof(
        browser=f"Node {raw['node']} with Dawn",
        adapter=raw["loaded"]["adapter"],
        visit=Visit(
            question=questions.rows[0].question,
            answer=asked[0].text,
            finished=asked[0].stopped,
            load_s=raw["loaded"]["seconds"],
            decode_tok_s=speed["answer_tok_s"],
            first_piece_s=min(run["first_token_ms"] for run in speed["prompts"].values()) / 1e3,
            dispatches_per_token=speed["dispatches_per_token"],
            submits_per_token=speed["submits_per_token"],
        ),
        asked=asked,
        answers=[Answer(text=one.text, stopped=one.stopped, by="said") for one in asked],
        followed=[best_logits(steps) for steps in followed],
        console_errors=raw["consoleErrors"],
        webgpu_errors=raw["webgpuErrors"],
        foreign_requests=raw["foreignRequests"],
    )


def best_logits(steps: Sequence[Any]) -> Best:
    return [[(int(token), float(logit)) for token, logit in step] for step in steps]


def _differences(questions: Questions, proof: Proof, name: str) -> list[dict[str, Any]]:
    """Return every forced position whose best token is not the reference's.

    ``gap`` is how much the reference preferred its token to its second best; ``seen_gap`` how
    much less this run gave the reference's token than its own best (None: not among its best).
    """
    found = []
    pairs = zip(proof.followed, questions.references, strict=True)
    for prompt, (best, reference) in enumerate(pairs):
        greedy = reference.greedy[name]
        for position, (step, token, gap) in enumerate(
            zip(best, greedy.tokens, greedy.gaps, strict=True)
        ):
            if step[0][0] != token:
                given = dict(step).get(token)
                found.append(
                    {
                        "prompt": prompt,
                        "position": position,
                        "gap": round(gap, 5),
                        "seen_gap": None if given is None else round(step[0][1] - given, 5),
                    }
                )
    return found


def speed_entry(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return medians: by prompt length tokens a second and the shares of a decoded token's time.

    ``wait_ms`` of ``token_ms`` the page waits for the GPU; the rest is JavaScript, WebAssembly and
    Dawn recording commands. ``gpu_ms`` is the sum over kernels between timestamps, which themselves
    cost some 8 us each: an upper bound.
    """
    dispatches, submits = per_token([tuple(mark) for mark in seen["marks"][-1]])
    found = {
        "answer_tok_s": _median(run["tokensPerSecond"] for run in seen["answers"]),
        "prompts": {
            str(tokens): _prompt(
                [run for run in seen["prompts"] if run["tokens"] == tokens],
                seen.get("profile", {}).get(str(tokens)),
            )
            for tokens in sorted({run["tokens"] for run in seen["prompts"]})
        },
        "dispatches_per_token": dispatches,
        "submits_per_token": submits,
        "second_load_s": round(seen["reloadSeconds"], 2),
    }
    if seen.get("sampled"):
        found["temperatures"] = _by_temperature(seen["sampled"])
    return found


def _by_temperature(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return by temperature the speed of an answer and the dispatches of its tokens."""
    found = {}
    for temperature in sorted({answer["temperature"] for answer in answers}):
        runs = [answer for answer in answers if answer["temperature"] == temperature]
        speeds = [run["tokensPerSecond"] for run in runs]
        dispatches, _ = per_token([tuple(mark) for mark in runs[-1]["marks"]])
        found[f"{temperature:g}"] = {
            "answer_tok_s": _median(speeds),
            "answer_tok_s_range": [round(min(speeds), 1), round(max(speeds), 1)],
            "dispatches_per_token": dispatches,
        }
    return found


def speed_line(speed: Mapping[str, Any]) -> str:
    """Return the speeds in a line."""
    prompts = "; ".join(
        f"{tokens} tokens: first after {run['first_token_ms']:.0f} ms "
        f"({run['prefill_tok_s']:.0f} tok/s), then {run['decode_tok_s']:.0f} tok/s"
        for tokens, run in speed["prompts"].items()
    )
    return (
        f"{prompts}; {speed['dispatches_per_token']:g} dispatches and "
        f"{speed['submits_per_token']:g} submits a token"
    )


def _prompt(runs: Sequence[Mapping[str, Any]], profile: Mapping[str, Any] | None) -> dict[str, Any]:
    tokens, after = runs[0]["tokens"], runs[0]["tokensAfter"]
    decode = [after / run["decodeSeconds"] for run in runs]
    found = {
        "first_token_ms": _median((run["firstTokenSeconds"] * 1e3 for run in runs), 2),
        "prefill_tok_s": _median(tokens / run["firstTokenSeconds"] for run in runs),
        "decode_tok_s": _median(decode),
        "decode_tok_s_range": [round(min(decode), 1), round(max(decode), 1)],
        "token_ms": _median((run["decodeSeconds"] / after * 1e3 for run in runs), 3),
        "wait_ms": _median((run["waitSeconds"] / after * 1e3 for run in runs), 3),
    }
    if profile is not None:
        steps = sorted(profile["decode"], key=_gpu_microseconds)
        found["prefill_kernels"] = _kernels(profile["prefill"])
        found["decode_kernels"] = _kernels(steps[len(steps) // 2])
    return found


def _kernels(run: Mapping[str, Any]) -> dict[str, Any]:
    by_time = sorted(run["kernels"].items(), key=lambda item: -item[1]["microseconds"])
    return {
        "wall_ms": round(run["seconds"] * 1000, 3),
        "gpu_ms": round(_gpu_microseconds(run) / 1000, 3),
        "kernels": {
            name: {"calls": entry["calls"], "us": round(entry["microseconds"], 1)}
            for name, entry in by_time
        },
    }


def _gpu_microseconds(run: Mapping[str, Any]) -> float:
    total: float = sum(entry["microseconds"] for entry in run["kernels"].values())
    return total


def _median(values: Iterable[float], digits: int = 1) -> float:
    return round(statistics.median(values), digits)
