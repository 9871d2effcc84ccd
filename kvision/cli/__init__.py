"""The `kvision` command: train, evaluate, report, predict, export, models."""
