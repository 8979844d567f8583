"""What the steps do for one model: who it is, its predictions, its replay check, its verdict."""
