"""Published checkpoints on the Hugging Face hub."""

import pathlib

FILE = "model.safetensors"


def cached(tag: str) -> pathlib.Path | None:
    """The file of a tag such as "timm/resnet50.a1_in1k" in this machine's hub cache, or None. Never downloads."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(tag, FILE) if not tag.startswith("torchvision/") else None
    return pathlib.Path(path) if isinstance(path, str) else None


def instructions(tag: str) -> str:
    """What a person does to get the file."""
    publisher, _, name = tag.partition("/")
    if publisher == "torchvision":
        return (
            f'Where torch and torchvision are installed, write {FILE} with: python -c "import torchvision; '
            "from safetensors.torch import save_file; "
            f"save_file(torchvision.models.{name}(weights='DEFAULT').state_dict(), '{FILE}')\","
        )
    return f"Get {FILE} from https://huggingface.co/{tag}/blob/main/{FILE}"
