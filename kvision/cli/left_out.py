"""What a folder holds, but no split."""

SHOWN = 5


def report(*splits) -> None:
    """Prints the unreadable files, and the first of those that are no images by their names."""
    unreadable = sorted({found for split in splits for found in split.unreadable})
    ignored = sorted({path for split in splits for path in split.ignored})
    for path, reason in unreadable:
        print(f"left out, unreadable: {path} ({reason})")
    if ignored:
        more = f" and {len(ignored) - SHOWN} more" if len(ignored) > SHOWN else ""
        print(f"left out, no images by their names or places: {', '.join(ignored[:SHOWN])}{more}")
