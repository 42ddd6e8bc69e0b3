"""The unlearned recommender: main memory, side memory and router, answering together."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from vestige.data.sequences import Sequences
from vestige.errors import InputError
from vestige.recommenders.contract import FloatArray, Parts
from vestige.recommenders.t5 import T5Recommender
from vestige_methods.dual_memory import router as routing

ADAPTER, ABOUT = "adapter", "dual_memory.json"

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def side_of(main: T5Recommender, module: Any) -> T5Recommender:
    """A recommender like `main` that answers with `module`, a T5 that carries the adapter."""
    side = copy.copy(main)
    side.module = module
    return side


def weights_checksum(module: torch.nn.Module) -> str:
    """SHA-256 over all parameters, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class DualMemoryModel:
    """Answers by the main memory where p(forget | history) is under the threshold, else by the side memory.

    The main memory answers every row of a batch, so that the rows it keeps are bit-identical to the base's; encoder
    states are shared, and the side memory's decoder runs for the routed rows only.
    """

    def __init__(
        self,
        main: T5Recommender,
        adapter: PeftModel,
        router: routing.Router,
        threshold: float,
        layers: tuple[str, ...],
        mode: str,
    ) -> None:
        self.main = main
        self.adapter = adapter
        self.side = side_of(main, adapter.base_model.model)
        self.router = router
        self.threshold = threshold
        self._layers = layers
        self._mode = mode

    def parts(self) -> Parts:
        """Main, side and router."""
        return Parts(self.main, self.side, _RouterPart(self))

    def modules(self) -> tuple[torch.nn.Module, ...]:
        """The main memory, the side memory with its own copy of the base's weights, and the router."""
        return self.main.module, self.adapter, self.router

    def represent(self, histories: Sequences) -> FloatArray:
        """float32 [queries, features]: what the main memory makes of each history; its encoder is the side's, too."""
        return self.main.represent(histories)

    @torch.inference_mode()
    def score(self, histories: Sequences) -> FloatArray:
        """float32 [queries, items]: log-softmax over the whole catalogue, nothing masked."""
        main, side = self.main, self.side
        main.module.eval()
        side.module.eval()
        out = np.empty((len(histories), len(main.catalogue)), dtype=np.float32)
        for rows in main.scoring_batches(len(histories)):
            asked = main.questions(histories.take(rows))
            seen = routing.observe(main, asked.encoder, asked.decoder, asked.last, self._layers)
            # One token an item, and what the router saw has the answer already.
            single = main.codes.single
            logits = main.project(seen.answer) if single else main.answers(seen.states, seen.mask, asked)
            p = torch.sigmoid(self.router(seen.features))
            routed = torch.nonzero(p >= self.threshold).squeeze(-1)
            if len(routed):
                other = side.answers(seen.states[routed], seen.mask[routed], asked.take(routed))
                weight = p[routed][:, None]
                mixed = other if self._mode == "hard" else (1 - weight) * logits[routed] + weight * other
            log_probs = torch.log_softmax(logits, dim=-1)
            if len(routed):
                log_probs[routed] = torch.log_softmax(mixed, dim=-1)
            out[rows] = log_probs.cpu().numpy()
        return out

    def save(self, folder: Path) -> None:
        """Writes a PEFT adapter, the router, and which base they belong to; the base itself is not repeated."""
        # The output head's own weights are the base's, also where the adapter sits on it.
        self.adapter.save_pretrained(str(folder / ADAPTER), save_embedding_layers=False)
        routing_settings = {"threshold": self.threshold, "layers": list(self._layers), "routing": self._mode}
        routing.save_router(self.router, folder, routing_settings)
        about = {"format": 1, "base_sha256": weights_checksum(self.main.module)}
        (folder / ABOUT).write_text(json.dumps(about, indent=1))

    @classmethod
    def load(cls, folder: Path, main: T5Recommender, twin: T5Recommender) -> "DualMemoryModel":
        """Reads what `save` wrote.

        Args:
            folder: Where it lies.
            main: The base.
            twin: The base once more; it receives the adapter.

        Raises:
            InputError: The folder is no dual memory, is damaged, or belongs to another base.
        """
        check_base(folder, main)
        router, threshold, layers, mode = routing.load_router(folder, main)
        for file in ADAPTER_FILES:  # what is missing here would be looked for on the hub
            if not (folder / ADAPTER / file).is_file():
                raise InputError(f"{folder}: its adapter is incomplete ({ADAPTER}/{file} is missing).")
        try:
            saved = {
                name: tuple(tensor.shape) for name, tensor in load_file(folder / ADAPTER / ADAPTER_FILES[1]).items()
            }
            adapter = PeftModel.from_pretrained(twin.module, str(folder / ADAPTER))
            if saved != shapes_of(adapter):  # of what is missing PEFT only warns, and leaves it without effect
                raise ValueError("its weights are not those of its layers")
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise InputError(f"{folder}: the adapter cannot be read ({str(error).splitlines()[0]}).") from error
        return cls(main, adapter.eval(), router, threshold, layers, mode)


def shapes_of(adapter: PeftModel) -> dict[str, tuple[int, ...]]:
    """Of what is saved of an adapter, by name."""
    weights: dict[str, torch.Tensor] = get_peft_model_state_dict(adapter, save_embedding_layers=False)
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def check_base(folder: Path, main: T5Recommender) -> None:
    """Checks that a folder holds a dual memory for this base.

    Raises:
        InputError: It does not.
    """
    try:
        about = json.loads((folder / ABOUT).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: this is no dual memory ({ABOUT} cannot be read).") from error
    if not isinstance(about, dict) or about.get("base_sha256") is None:
        raise InputError(f"{folder}: this is no dual memory ({ABOUT} does not say which base it belongs to).")
    if about["base_sha256"] != weights_checksum(main.module):
        raise InputError(f"{folder}: this dual memory belongs to another base than the one that was given.")


class _RouterPart:
    """The router by itself, as attacks see it."""

    def __init__(self, model: DualMemoryModel) -> None:
        self._model = model

    @property
    def threshold(self) -> float:
        """p at or above it goes to the side memory."""
        return self._model.threshold

    def probability(self, histories: Sequences) -> FloatArray:
        """float32 [queries]: p(forget | history)."""
        model = self._model
        with torch.inference_mode():
            features = routing.features_of(model.main, histories, model._layers)
            return torch.sigmoid(model.router(features)).cpu().numpy()
