# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""Writing: the loop that takes examples apart into columns, blocks, the content digest, the bytes
of chunks. One module, in files by subject: examples are taken apart without a call that crosses a
module. No path and no policy lives here.
"""
cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_GetItem
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.list cimport PyList_CheckExact
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cpython.object cimport PyObject
from libc.string cimport memcpy, memmove, memset

from atlas_ds._core.base cimport Dictionary, check
from atlas_ds._core.c cimport *
from atlas_ds._core.nodes cimport *

from enum import IntEnum

import numpy as np

from atlas_ds import errors
from atlas_ds._core.base import Layout
from atlas_ds._core.records import PageWritten, SealedChunk, Trial
from atlas_ds.schema import arrays as _arrays, describe as _describe, examples as _examples, fits as _fits, named_fields as _named
from atlas_ds.schema import labels as _labels, media as _media, objects as _objects, times as _times
from atlas_ds.schema.types import MAX_PAGE, MAX_VALUE

cnp.import_array()

include "column.pxi"
include "row_builder.pxi"
include "block.pxi"
include "digest.pxi"
include "chunks.pxi"
