"""Own the way from a GGUF file's vocabulary to tokenizer.json and tokenizer_config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import model_files
from webslm.basics.errors import StageFailed
from webslm.basics.fs import write_text
from webslm.model.gguf.pretokenizers import PRETOKENIZERS, Cutting
from webslm.model.gguf.vocabulary import (
    BYTE_LEVEL,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Vocabulary,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What SentencePiece writes for a space."""
STRIPPING = "phi3"
"""Model type whose special tokens take the white space after them in."""
KEEPING = ("<unk>", "<s>", "<|endoftext|>")
"""Those of them that do not."""


def build(vocabulary: Vocabulary, model_type: str) -> Tokenizer:
    """Return the tokenizer that a vocabulary describes.

    Raises:
        StageFailed: A merge names a token that is not there.
    """
    made = _byte_level(vocabulary) if vocabulary.kind == BYTE_LEVEL else _pieces(vocabulary)
    _add_whole(made, vocabulary, strip=model_type == STRIPPING)
    _add_ends(made, vocabulary)
    return made


def save(vocabulary: Vocabulary, model_type: str, folder: Path, *, max_length: int) -> None:
    """Write tokenizer.json and tokenizer_config.json, the chat template in the latter."""
    made = build(vocabulary, model_type)
    write_text(folder / model_files.TOKENIZER, made.to_str(pretty=False) + "\n")
    special = {f"{n}_token": vocabulary.tokens[i] for n, i in vocabulary.special.items()}
    config: dict[str, Any] = {
        **special,
        "add_bos_token": vocabulary.add_bos,
        "add_eos_token": vocabulary.add_eos,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_length,
        # transformers then reads tokenizer.json as it is, by no rule of a model's own.
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    if vocabulary.template is not None:
        config["chat_template"] = vocabulary.template
    write_text(
        folder / model_files.TOKENIZER_CONFIG,
        json.dumps(config, indent=2, ensure_ascii=False) + "\n",
    )


def _byte_level(vocabulary: Vocabulary) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    cutting = PRETOKENIZERS[vocabulary.pre]
    vocab = {token: index for index, token in enumerate(vocabulary.tokens)}
    merges = []
    for merge in vocabulary.merges:
        # The first part may itself begin with a space.
        cut = merge.find(" ", 1)
        merges.append((merge[:cut], merge[cut + 1 :]))
    made = Tokenizer(_model(models.BPE, vocab, merges, ignore_merges=cutting.ignore_merges))
    if cutting.compose:
        made.normalizer = normalizers.NFC()
    made.pre_tokenizer = _cut(cutting)
    made.decoder = decoders.ByteLevel()
    return made


def _cut(cutting: Cutting) -> Any:
    from tokenizers import Regex, pre_tokenizers

    steps: list[Any] = [
        pre_tokenizers.Split(Regex(rule), "isolated", invert=False) for rule in cutting.splits
    ]
    if cutting.digits:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cutting.words))
    return pre_tokenizers.Sequence(steps)


def _pieces(vocabulary: Vocabulary) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    vocab = {token: index for index, token in enumerate(vocabulary.tokens)}
    falls_back = all(f"<0x{byte:02X}>" in vocab for byte in range(256))
    unknown = vocabulary.special.get("unk")
    if unknown is None and UNKNOWN in vocabulary.types:
        unknown = vocabulary.types.index(UNKNOWN)
    model = _model(
        models.BPE,
        vocab,
        _merges(vocabulary, vocab),
        byte_fallback=falls_back,
        fuse_unk=True,
        unk_token=None if unknown is None else vocabulary.tokens[unknown],
    )
    made = Tokenizer(model)
    spaces = normalizers.Replace(" ", SPACE)
    parts = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    made.normalizer = spaces
    if vocabulary.add_space:
        made.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), spaces])
        parts.append(decoders.Strip(content=" ", left=1))
    made.decoder = decoders.Sequence(parts)
    return made


def _merges(vocabulary: Vocabulary, vocab: dict[str, int]) -> list[tuple[str, str]]:
    """Return the merges by which pieces come about, best score first.

    SentencePiece joins the two neighbours whose whole has the best score; a merge's place in the
    list says the same to a reader of merges.
    """
    joined = (NORMAL, USER_DEFINED)
    places = {
        token: (-vocabulary.scores[index], index)
        for token, index in vocab.items()
        if vocabulary.types[index] in joined
    }
    found = []
    for token, place in places.items():
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in places and right in places:
                found.append((place, places[left][1], places[right][1], left, right))
    found.sort()
    return [(left, right) for *_, left, right in found]


def _model(kind: Any, vocab: dict[str, int], merges: list[tuple[str, str]], **options: Any) -> Any:
    try:
        return kind(vocab=vocab, merges=merges, **options)
    except Exception as exc:  # tokenizers raises nothing narrower
        raise StageFailed(
            f"base: the vocabulary's merges cannot be read: {exc}",
            hint="take another file of the model",
        ) from exc


def _add_whole(made: Tokenizer, vocabulary: Vocabulary, *, strip: bool) -> None:
    """Add the tokens that text is never cut within: special ones and the publisher's own."""
    from tokenizers import AddedToken

    ends = {*vocabulary.special.values(), *vocabulary.stops}
    for index, (token, kind) in enumerate(zip(vocabulary.tokens, vocabulary.types, strict=True)):
        special = kind in (CONTROL, UNKNOWN) or index in ends
        if not special and kind != USER_DEFINED:
            continue
        stripped = strip and special and token not in KEEPING
        added = AddedToken(token, normalized=False, special=special, rstrip=stripped)
        (made.add_special_tokens if special else made.add_tokens)([added])


def _add_ends(made: Tokenizer, vocabulary: Vocabulary) -> None:
    from tokenizers import processors

    start = vocabulary.special.get("bos") if vocabulary.add_bos else None
    end = vocabulary.special.get("eos") if vocabulary.add_eos else None
    if start is None and end is None:
        return
    first, last = ([] if i is None else [vocabulary.tokens[i]] for i in (start, end))
    made.post_processor = processors.TemplateProcessing(
        single=[*first, "$A", *last],
        pair=[*first, "$A", *last, *(f"{token}:1" for token in first), "$B:1", *last],
        special_tokens=[(vocabulary.tokens[i], i) for i in (start, end) if i is not None],
    )
