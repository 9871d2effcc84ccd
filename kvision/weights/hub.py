"""Published checkpoints on the Hugging Face hub."""

import pathlib

FILE = "model.safetensors"


def cached(tag: str) -> pathlib.Path | None:
    """The file of a tag such as "timm/resnet50.a1_in1k" in this machine's hub cache, or None. Never downloads."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(tag, FILE)
    return pathlib.Path(path) if isinstance(path, str) else None


def address(tag: str) -> str:
    """Where a person finds it."""
    return f"https://huggingface.co/{tag}/blob/main/{FILE}"
