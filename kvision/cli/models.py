"""kvision models: list the networks, or print one of them.

kvision models                    all, by name
kvision models "*resnet1*"        those that match
kvision models --weights          those with published weights, with their tags; the first is --weights=imagenet
kvision models ResNet50 --cite    paper, counts, figures and checkpoints of one; its BibTeX entry
"""

from absl import flags

FLAGS = flags.FlagValues()
flags.DEFINE_bool("weights", False, "only networks with published weights, with their tags", flag_values=FLAGS)
flags.DEFINE_bool("cite", False, "print the BibTeX entry of the paper", flag_values=FLAGS)


def run(options: flags.FlagValues, arguments: list[str]) -> None:
    from kvision import applications

    for pattern in arguments or ["*"]:
        if set("*?[") & set(pattern):
            rows = [applications.get_model(name) for name in applications.list_models(pattern, options.weights)]
            if not rows:
                raise ValueError(f"No network matches {pattern!r}.")
        else:
            rows = [applications.get_model(pattern)]
        for row in rows:
            if len(rows) == 1:
                print(row)
            else:
                height, width, channels = row.input_shape
                counts = f"{row.params:>13,} parameters {row.macs / 1e9:>8.3f} G multiply-adds"
                print(f"{row.name:16}{counts} at {height}x{width}x{channels}  {row.paper.venue}")
                for weights in row.weights if options.weights else ():
                    print(f"    {weights}")
            if options.cite:
                print(applications.cite(row))
