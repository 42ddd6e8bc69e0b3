"""The layers of T5 that carry the adapter, and those that the router sees, by name."""

from torch import nn

from vestige.errors import InputError, unknown
from vestige.recommenders.t5 import T5Recommender

HEAD = "lm_head"

STACKS = ("encoder", "decoder")


def targets_of_last_blocks(main: T5Recommender, blocks: int) -> list[str]:
    """The feed-forward `wi` (if gated, `wi_0` and `wi_1`) of the last decoder blocks: the published place."""
    last = range(max(0, len(main.module.decoder.block) - blocks), len(main.module.decoder.block))
    starts = tuple(f"decoder.block.{block}." for block in last)
    return [name for name in _linear(main) if name.startswith(starts) and name.rpartition(".")[2].startswith("wi")]


def known_targets(main: T5Recommender, names: tuple[str, ...]) -> list[str]:
    """The full names of the layers that `names` mean: a layer's name, or its end from a dot on.

    The encoder's layers are none of them: both memories share its states.

    Raises:
        InputError: A name fits no layer; names the nearest.
    """
    linear = [*_linear(main), HEAD]
    found: dict[str, None] = {}
    for name in names:
        fit = [layer for layer in linear if _means(name, layer)]
        if not fit:
            if name.startswith("encoder."):
                raise InputError(
                    f"lora_targets: {name!r} is in the encoder, whose states both memories share; name "
                    "layers of the decoder."
                )
            ends = {".".join(layer.split(".")[-parts:]) for layer in linear for parts in (1, 2)}
            raise unknown("layer", name, linear if name.count(".") > 1 else ends, "lora_targets")
        found.update(dict.fromkeys(fit))
    return list(found)


def _means(name: str, layer: str) -> bool:
    """Whether a name is a layer's, or its end; the `wi` of a gated T5 are `wi_0` and `wi_1`."""
    alike = (layer, layer.removesuffix("_0").removesuffix("_1")) if name.endswith("wi") else (layer,)
    return any(one == name or one.endswith(f".{name}") for one in alike)


def known_layers(main: T5Recommender, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names themselves, once each is known to be a stack or one of its layers, `<stack>.<number>`.

    Raises:
        InputError: A name fits no layer; names the nearest.
    """
    valid = list(STACKS)
    for stack in STACKS:
        valid += [f"{stack}.{layer}" for layer in range(len(getattr(main.module, stack).block) + 1)]
    for name in names:
        if name not in valid:
            raise unknown("layer", name, valid, "router_layers")
    return names


def _linear(main: T5Recommender) -> list[str]:
    """The linear layers of the decoder."""
    return [
        name
        for name, module in main.module.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("decoder.")
    ]
