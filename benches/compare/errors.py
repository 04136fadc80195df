"""What goes wrong in a comparison and is worth a sentence to the person who runs it."""


class BenchError(Exception):
    """A cause, its place and, where there is one, its cure; shown without a traceback."""
