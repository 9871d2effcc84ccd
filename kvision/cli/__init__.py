"""The `kvision` command: train, evaluate, predict, export, models."""
