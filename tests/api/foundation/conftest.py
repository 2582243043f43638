"""The API as it describes itself."""

import pytest

from cauldron.api.app import create_app
from cauldron.api.openapi import operations
from cauldron.bootstrap import Studio
from cauldron.config import Settings


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """``{"METHOD /path": operation}`` and the named schemas."""
    app = create_app(Studio(Settings(home=tmp_path_factory.mktemp("described"))))
    document = app.openapi()
    listed = {f"{method.upper()} {path}": operation for path, method, operation in operations(document)}
    return listed, document
