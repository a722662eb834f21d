"""What a type checker takes a dataset for. At run time there is only this: a base class without state that can be written as MapStyle[T].

The stub beside this file (map_style.pyi) makes it a torch.utils.data.Dataset, so that DataLoader(ds) is accepted; torch is not imported.
"""

from types import GenericAlias
from typing import Any, Protocol, TypeVar

ExampleT = TypeVar("ExampleT", covariant=True)
"""What an example is. Checkers see a default, dict[str, Any], which typing has only from Python 3.13 on."""


class MapStyle:
    """Something with len() and [i]."""

    __slots__ = ()
    __class_getitem__ = classmethod(GenericAlias)


class SupportsRows(Protocol):
    """Anything with len() and [i], whoever made it."""

    __class_getitem__ = classmethod(GenericAlias)

    def __len__(self) -> int: ...
    def __getitem__(self, i: int, /) -> Any: ...
