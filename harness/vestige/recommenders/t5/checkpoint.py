"""Checkpoints: found, checked, read without unpickling anything, and made to fit the items.

Every fault is one sentence: a name that leads nowhere, another architecture, a missing tokenizer, weights that are cut
off, missing, or of another shape.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, T5ForConditionalGeneration

from vestige.errors import InputError
from vestige.recommenders.t5.prompts import EOS, PAD

SECONDS = 10.0
"""How long the hub may take to answer, unless the environment of `huggingface_hub` says otherwise."""

NEEDED = ("*.json", "*.safetensors", "*.model", "*.txt")
"""Files of a checkpoint that are of use; others, such as weights in other formats or code, are not even downloaded."""


def find(name: str) -> Path:
    """The folder of a checkpoint: `name` itself, or a copy of what has that name on the Hugging Face hub.

    A copy that is on this machine already is taken as it is, so that a board can be run without a network.

    Raises:
        InputError: There is no such folder and no such name, or the hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise InputError(f"init: {name}: there is no such folder.")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(NEEDED), local_files_only=True))
    except (OSError, ValueError):
        pass  # not on this machine yet
    try:
        return Path(snapshot_download(name, allow_patterns=list(NEEDED), etag_timeout=SECONDS, max_workers=2))
    except Exception as error:  # whatever the network does: the libraries below have no common error
        reason = type(error).__name__
        raise InputError(
            f"init: {name!r} is neither a folder nor on this machine, and the hub did not give it ({reason}); "
            "name a folder with a T5 checkpoint."
        ) from error


def read(folder: Path, dropout: float) -> tuple[T5ForConditionalGeneration, Any]:
    """The weights and the tokenizer of a checkpoint.

    Raises:
        InputError: See `read_module` and `read_tokenizer`; or they do not belong together.
    """
    module, tokenizer = read_module(folder, dropout), read_tokenizer(folder)
    rows = len(module.get_input_embeddings().weight)
    if len(tokenizer) > rows:
        raise InputError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, and the weights only {rows}.")
    return module, tokenizer


def read_module(folder: Path, dropout: float) -> T5ForConditionalGeneration:
    """The weights in `folder`, with the given dropout.

    Raises:
        InputError: It is no T5 checkpoint, or its weights are damaged, missing or of another shape.
    """
    _check_config(folder)
    if (folder / "adapter_config.json").is_file():
        raise InputError(f"{folder}: an adapter lies beside the weights (adapter_config.json); merge it in first.")
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"{folder}: there are no weights as safetensors; other files (.bin, .pt) are never opened.")
    try:
        read: Any = T5ForConditionalGeneration.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dropout_rate=dropout,
            dtype=torch.float32,
        )
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{folder}: the weights cannot be read ({text[:200]}).") from error
    module: T5ForConditionalGeneration = read[0]
    missing = sorted(read[1]["missing_keys"])
    if missing:
        raise InputError(f"{folder}: the weights are not complete: {missing[0]!r} is missing.")
    module.name_or_path = ""  # where it was read from is no part of it; adapters would write it down
    return module


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer in `folder`.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    if not any((folder / name).is_file() for name in ("tokenizer.json", "spiece.model")):
        raise InputError(f"{folder}: the tokenizer is missing (tokenizer.json or spiece.model).")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the tokenizers library raises plain exceptions
        raise InputError(f"{folder}: the tokenizer cannot be read ({' '.join(str(error).split())[:200]}).") from error


def grow(module: T5ForConditionalGeneration, tokens: int, added: torch.Tensor, seed: int, spread: float) -> None:
    """Makes room for `tokens` tokens and gives those in `added` new rows.

    A new row is drawn, by `seed`, round the mean of the rows that were there, with `spread` times their standard
    deviation: like the words the model knows, and no two alike. Rows that a checkpoint holds in reserve (T5-small has
    more rows than tokens) are drawn anew as well.

    Args:
        tokens: How many the tokenizer has.
        added: int64, the new ones' ids.
    """
    if len(added) == 0:
        return
    words, head = module.get_input_embeddings().weight, module.get_output_embeddings().weight
    known, first = len(words), int(added.min())
    if tokens > known:
        module.resize_token_embeddings(tokens, mean_resizing=False)
        if head is not words:  # as in T5 1.1, whose head is its own; resizing has tied it to the words
            own = torch.nn.Parameter(torch.empty_like(module.get_input_embeddings().weight))
            own.data[:known] = head.data
            module.lm_head.weight = own
    generator = torch.Generator().manual_seed(seed)
    tables = [module.get_input_embeddings().weight, module.get_output_embeddings().weight]
    with torch.no_grad():
        for weight in tables[:1] if tables[0] is tables[1] else tables:
            old = weight[: min(first, known)]
            noise = torch.randn(len(added), weight.shape[1], generator=generator).to(weight)
            weight[added.to(weight.device)] = old.mean(dim=0) + spread * old.std(dim=0) * noise


def _check_config(folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        kind = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: this is no checkpoint (config.json cannot be read).") from error
    if kind != "t5":
        raise InputError(f"{folder}: this is a checkpoint of {kind!r}, and one of 't5' is needed.")
    for key, token in (("pad_token_id", PAD), ("eos_token_id", EOS), ("decoder_start_token_id", PAD)):
        if config.get(key, token) != token:
            raise InputError(f"{folder}: config.json: {key} must be {token}, as T5 has it, not {config[key]!r}.")
