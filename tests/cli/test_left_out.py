from kvision.cli.left_out import report
from kvision.data import load
from tests.data.sources.test_folder import PNG, write


def test_each_file_is_named_once_and_the_rest_counted(tmp_path, capsys):
    files = {f"a/{number}.png": PNG for number in range(9)} | {f"a/{number}.txt": b"" for number in range(7)}
    write(tmp_path, files | {"a/10.png": b""})
    splits = [load(tmp_path, name, validation=0.5, test=0) for name in ("train", "validation")]
    for split in splits:
        list(split.dataset)
    report(*splits)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"left out, unreadable: {tmp_path / 'a' / '10.png'} (")
    shown = ", ".join(str(tmp_path / "a" / f"{number}.txt") for number in range(5))
    assert second == f"left out, no images by their names or places: {shown} and 2 more"
