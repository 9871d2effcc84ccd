"""Glue that two papers or more share: plain functions, tensor in, tensor out."""
