"""kvision report: a page to show to others, about a trained network or about several trainings of it.

    kvision report runs/digits                   # or, as for the other commands: kvision report --run=runs/digits
    kvision report runs/seed0 runs/seed1 runs/seed2 --out=runs/seeds

For one run folder the page is its report.html: one file with everything inside. For several, the command prints mean,
deviation and extremes of their figures; report.html and spread.png go to --out, by default the folder that the first
one lies in. A run that is not evaluated yet is evaluated first, as by `kvision evaluate --run=...`.
"""

from absl import flags

FLAGS = flags.FlagValues()
FLAGS.set_gnu_getopt()  # flags may follow the run folders
flags.DEFINE_string("run", None, "the run folder, as the other commands take it", flag_values=FLAGS)
flags.DEFINE_string("out", None, "the folder of the page", flag_values=FLAGS)


def run(options: flags.FlagValues, arguments: list[str]) -> None:
    import os
    import pathlib

    from kvision import visualize
    from kvision.cli.run_folder import RunFolder
    from kvision.cli.run_page import run_page
    from kvision.cli.runs_page import runs_page
    from kvision.evaluation import Evaluation

    folders = [RunFolder(name) for name in (*([options.run] if options.run else []), *arguments)]
    if not folders:
        raise ValueError("Name the run folders.")
    configs = [folder.config for folder in folders]
    for folder in folders:
        if not (folder / "report.json").is_file():
            evaluate(folder)
    evaluations = [Evaluation.load(folder / "report.json") for folder in folders]
    if len(folders) == 1:
        out = pathlib.Path(options.out or folders[0].path)
        page = run_page(folders[0], configs[0], evaluations[0])
    else:
        out = pathlib.Path(options.out or folders[0].path.absolute().parent)
        page, figure, told = runs_page(folders, configs, evaluations)
        visualize.save(figure, out / "spread.png")
        print(told)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f".report.html.{os.getpid()}"
    partial.write_text(page, encoding="utf-8")
    partial.replace(out / "report.html")
    print(f"The page: {out / 'report.html'}")


def evaluate(folder) -> None:
    """What `kvision evaluate --run=FOLDER` does."""
    import copy

    from kvision.cli import evaluate as command

    options = copy.deepcopy(command.FLAGS)
    options(["kvision evaluate", f"--run={folder.path}"])
    command.run(options, [])
