"""A module that ends the program."""

import sys

print("goodbye")
sys.exit(4)
