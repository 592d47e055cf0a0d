"""LoRA on CSM: a voice, or a way of speaking, from a folder of recordings and texts."""

STAGES = ("all", "encode", "adapter", "merge")
