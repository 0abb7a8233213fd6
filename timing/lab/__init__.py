"""The parts of the cold-start lab; `python -m timing.coldstart` puts them together."""


class LabError(Exception):
    """What ends a measurement: one line that says what was found and what was expected."""
