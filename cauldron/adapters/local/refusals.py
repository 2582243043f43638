"""How a built-in tool says that an input is unusable: one problem with its path."""

from cauldron.domain.errors import InvalidMany, Problem


def refusal(path: str, code: str, message: str) -> InvalidMany:
    """An error for the one input at ``path`` (``image.effect.image``)."""
    return InvalidMany([Problem(path=path, code=code, message=message)])
