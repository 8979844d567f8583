"""Models in a process of their own, some with an interpreter of their own. Imported by `models.loading`."""
