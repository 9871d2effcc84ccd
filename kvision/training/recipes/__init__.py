"""How networks were trained, as records: the training sections of papers."""
