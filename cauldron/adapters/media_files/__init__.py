"""Loading of the files a collection document names: :func:`load`."""

from cauldron.adapters.media_files.loading import load

__all__ = ["load"]
