"""What a type checker takes a dataset for: torch's Dataset, generic in what an example is."""

from typing import Any, Protocol

from torch.utils.data.dataset import Dataset
from typing_extensions import TypeVar

ExampleT = TypeVar("ExampleT", covariant=True, default=dict[str, Any])

class MapStyle(Dataset[ExampleT]): ...

class SupportsRows(Protocol[ExampleT]):
    def __len__(self) -> int: ...
    def __getitem__(self, i: int, /) -> ExampleT: ...
