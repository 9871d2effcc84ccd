"""What training needs beside `model.fit`."""

from kvision.training.resume import Resume

__all__ = ["Resume"]
