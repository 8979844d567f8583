"""A module that ends the process."""

import os

os._exit(6)
