# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""Reading: shards, the loop that turns views into examples, many shards as one sequence, batches,
rows. One module, in files by subject: examples are built without a call that crosses a module. No
path and no policy lives here, and no thread but the helper of a large call.
"""
cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_SetItem
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_CheckExact, PyLong_FromLongLong, PyLong_FromUnsignedLongLong
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from cpython.number cimport PyNumber_AsSsize_t
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.string cimport memcpy

from atlas_ds._core.base cimport Dictionary, Pins, States, check
from atlas_ds._core.c cimport *
from atlas_ds._core.nodes cimport *

import os
import weakref
from multiprocessing.process import parent_process

import numpy as np

from atlas_ds import errors
from atlas_ds._core.records import BlockFound, ChunkFound, ChunksFound, CodedBlock, LeafEntry
from atlas_ds.schema import describe as _describe, media as _media, nulls as _nulls, objects as _objects
from atlas_ds.schema import ragged as _ragged, times as _times
from atlas_ds.schema.types import MAX_PAGE

cnp.import_array()

include "context.pxi"
include "shard.pxi"
include "salvage.pxi"
include "build.pxi"
include "lookup.pxi"
include "shard_set.pxi"
include "batch.pxi"
include "rows.pxi"
