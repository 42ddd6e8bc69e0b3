"""The methods with shards, as plugins."""

from vestige.hookspecs import hookimpl
from vestige.specs import MethodSpec
from vestige_methods.sharding.config import SISA_PRESETS, AdapterShardsConfig, SISAConfig
from vestige_methods.sharding.spaces import ADAPTER_SHARDS, SISA


@hookimpl
def vestige_methods() -> list[MethodSpec]:
    """`sisa` and `adapter_shards`."""
    return [
        MethodSpec(
            name="sisa",
            version="1",
            summary="A model a shard of users; retrains the shards that the forgotten are in.",
            factory="vestige_methods.sharding.sisa:SISA",
            config=SISAConfig,
            presets=SISA_PRESETS,
            own_base=True,
            search=SISA,
        ),
        MethodSpec(
            name="adapter_shards",
            version="1",
            summary="A LoRA adapter a shard of users, on a common model; retrains those of the forgotten.",
            factory="vestige_methods.sharding.adapter_shards:AdapterShards",
            config=AdapterShardsConfig,
            own_base=True,
            search=ADAPTER_SHARDS,
        ),
    ]
