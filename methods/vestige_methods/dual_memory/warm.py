"""Goes on from a dual memory that was saved before, for the same base."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from vestige.errors import InputError
from vestige.recommenders.t5 import T5Recommender
from vestige_methods.dual_memory.config import DualMemoryConfig, folder_checksum
from vestige_methods.dual_memory.model import ADAPTER, check_base, shapes_of
from vestige_methods.dual_memory.router import Router, load_router

ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Earlier:
    """What was saved.

    Attributes:
        folder: Where it lies.
        adapter: The adapter's weights by name.
        router: The trained router.
    """

    folder: Path
    adapter: dict[str, torch.Tensor]
    router: Router


def read(config: DualMemoryConfig, main: T5Recommender, layers: tuple[str, ...]) -> Earlier | None:
    """What `DualMemoryModel.save` wrote into the folder that the config names; None where it names none.

    Raises:
        InputError: It is no dual memory, is another one than the config was made for, belongs to another base, or its
            router sees other layers.
    """
    if config.warm_start is None:
        return None
    folder = Path(config.warm_start).expanduser()
    if folder_checksum(folder) != config.warm_start_sha256:
        raise InputError(f"warm_start: what lies in {folder} has another checksum than is asked for.")
    check_base(folder, main)
    router, _, seen, _ = load_router(folder, main)
    if seen != layers:
        raise InputError(f"{folder}: its router sees {', '.join(seen)}; give router_layers = {list(seen)}.")
    try:
        weights = load_file(folder / ADAPTER / ADAPTER_WEIGHTS, device=main.device)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder}: the adapter cannot be read ({error}).") from error
    return Earlier(folder, weights, router)


def start_adapter(adapter: PeftModel, earlier: Earlier) -> None:
    """Puts the saved weights into a new adapter.

    Raises:
        InputError: It has other layers, or another rank.
    """
    own = shapes_of(adapter)
    saved = {name: tuple(tensor.shape) for name, tensor in earlier.adapter.items()}
    if own != saved:
        settings = json.loads((earlier.folder / ADAPTER / "adapter_config.json").read_bytes())
        layers = ", ".join(sorted(settings["target_modules"]))
        raise InputError(
            f"{earlier.folder}: its adapter has rank {settings['r']} on {layers}; give the same lora_r, lora_targets "
            "and freeze_lm_head to go on from it."
        )
    set_peft_model_state_dict(adapter, earlier.adapter)
