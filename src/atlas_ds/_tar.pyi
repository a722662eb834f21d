from io import FileIO
from typing import Any, Literal

def header_hash(header: bytes) -> int: ...

class TarReader:
    def __init__(
        self, file: FileIO, size: int, mapped: bool, ask: bool, rows: Any, columns: tuple[tuple[str, int], ...], empty: dict[str, object]
    ) -> None: ...
    def sample(self, k: int) -> dict[str, object] | tuple[int, Literal["index", "cut", "header"]]: ...
