"""One real S3 for all tests of stores."""

from __future__ import annotations

import pytest

from servers import s3


@pytest.fixture(scope="session")
def server():
    with s3.running() as found:
        yield found
