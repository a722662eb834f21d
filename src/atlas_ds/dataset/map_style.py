"""What a type checker takes a dataset for. At run time it is a base class without state.

The stub map_style.pyi makes it a torch.utils.data.Dataset, so that checkers accept DataLoader(ds);
torch is not imported. Like other generic classes it can be written as MapStyle[T].
"""

from types import GenericAlias
from typing import Any, Protocol, TypeVar

ExampleT = TypeVar("ExampleT", covariant=True)
"""What an example is. The stub gives it a default, dict[str, Any], as typing can from 3.13 on."""


class MapStyle:
    """Something with len() and [i]."""

    __slots__ = ()
    __class_getitem__ = classmethod(GenericAlias)


class SupportsRows(Protocol):
    """Anything with len() and [i], whoever made it."""

    __class_getitem__ = classmethod(GenericAlias)

    def __len__(self) -> int: ...
    def __getitem__(self, i: int, /) -> Any: ...
