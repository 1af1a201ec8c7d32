"""The trainer: `python -m train --help`."""
