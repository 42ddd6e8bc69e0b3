"""Methods that forget exactly, by having trained in shards: what is retrained never met what must be forgotten.

- `partition`: which shard a user is in;
- `affinity`: how near a history is to each shard, which weighs their answers;
- `sisa`: a whole model a shard; `adapter_shards`: a LoRA adapter a shard, on a common backbone.
"""
