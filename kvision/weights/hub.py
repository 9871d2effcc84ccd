"""Published checkpoints on the Hugging Face hub: fetched once, kept in its cache, checked before they are read."""

import hashlib
import pathlib
import re

FILE = "model.safetensors"
# A ref of ours in the hub's cache: what `main` was when this machine first used the checkpoint. It goes on using that
# commit, whatever the publisher or another program does to `main`.
REF = "kvision"


def fetch(tag: str, revision: str | None = None, sha256: str | None = None) -> pathlib.Path:
    """The file of a tag such as "timm/resnet50.a1_in1k", from the hub's cache or, with progress shown, from the hub.

    Cached files need no network. A broken connection is taken up where it broke; a download that ends early leaves no
    file. `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, `HF_ENDPOINT` and `HF_TOKEN` are the hub's.

    Args:
        tag: the repository.
        revision: a commit; None for the one that this machine used first, which is recorded in the cache as the ref
            `kvision`.
        sha256: of the file; None for the one by which the hub itself names it.

    Returns:
        The file's path, `.../snapshots/<commit>/model.safetensors`.

    Raises:
        FileNotFoundError: it is not on this machine and cannot be fetched; the message says why and what to do.
        ValueError: the file is not the published one. It is removed, so that asking again fetches it again.
    """
    path = _cached(tag, revision or REF) or (None if revision else _cached(tag, "main"))
    if path is None:
        path = _download(tag, revision or _recorded(tag))
    _check(path, tag, sha256)
    if revision is None and _recorded(tag) is None:
        ref = _repository(tag) / "refs" / REF
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(path.parent.name)
    return path


def conversion(address: str) -> str:
    """The command that writes a torch pickle's tensors as safetensors, where torch is installed."""
    return (
        'python -c "import torch; from safetensors.torch import save_file; '
        f"save_file(torch.hub.load_state_dict_from_url('{address}', map_location='cpu', check_hash=True, "
        f"weights_only=True), '{FILE}')\""
    )


def _repository(tag: str) -> pathlib.Path:
    from huggingface_hub import constants

    return pathlib.Path(constants.HF_HUB_CACHE) / f"models--{tag.replace('/', '--')}"


def _recorded(tag: str) -> str | None:
    ref = _repository(tag) / "refs" / REF
    return ref.read_text().strip() if ref.is_file() else None


def _cached(tag: str, revision: str) -> pathlib.Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(tag, FILE, revision=revision)
    return pathlib.Path(path) if isinstance(path, str) else None


def _download(tag: str, revision: str | None) -> pathlib.Path:
    from huggingface_hub import constants, errors, hf_hub_download

    try:
        return pathlib.Path(hf_hub_download(tag, FILE, revision=revision))
    except Exception as error:  # of the network's libraries, too, whose errors have no common base
        if constants.is_offline_mode():
            reason = "HF_HUB_OFFLINE is set"
        elif isinstance(error, errors.RevisionNotFoundError):
            reason = f"{constants.ENDPOINT} has no revision {revision!r} of it"
        elif isinstance(error, errors.RemoteEntryNotFoundError):
            reason = f"there is no {FILE} in {constants.ENDPOINT}/{tag}"
        elif isinstance(error, errors.GatedRepoError | errors.RepositoryNotFoundError):
            reason = f"{constants.ENDPOINT}/{tag} does not exist, or only for those who log in (HF_TOKEN)"
        elif isinstance(error, errors.LocalEntryNotFoundError):
            reason = f"there is no connection to {constants.ENDPOINT}"
        else:
            reason = f"the download failed: {str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}"
        raise FileNotFoundError(
            f"The weights {tag!r} are not on this machine and cannot be fetched: {reason}. Remedy that, or get {FILE} "
            f"from https://huggingface.co/{tag}/blob/{revision or 'main'}/{FILE}"
        ) from error


def _check(path: pathlib.Path, tag: str, sha256: str | None) -> None:
    """Compares a file with its published SHA-256; the hub names the files of its large-file storage by theirs."""
    blob = path.resolve()
    expected = sha256 or (blob.name if re.fullmatch("[0-9a-f]{64}", blob.name) else None)
    if expected is None:
        return
    digest = hashlib.sha256()
    with blob.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if (received := digest.hexdigest()) != expected:
        path.unlink()
        blob.unlink(missing_ok=True)
        raise ValueError(
            f"The file of the weights {tag!r} is corrupt: its SHA-256 is {received}, the published one {expected}. "
            f"{str(path)!r} has been removed; asking again fetches it again."
        )
