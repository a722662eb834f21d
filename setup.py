"""Builds the C core and its binding. Only what pyproject.toml cannot say stands here."""

import os
import shlex
import subprocess
import sys
from glob import glob

from setuptools import Extension, setup

LIBRARIES = {"libzstd": ("zstd", "zstd.h"), "liblz4": ("lz4", "lz4.h"), "libxxhash": (None, "xxhash.h")}
HOW = (
    "Atlas needs the headers of zstd, lz4 and xxHash; missing: {missing}. "
    "Debian/Ubuntu: apt-get install libzstd-dev liblz4-dev libxxhash-dev pkg-config; "
    "Fedora: dnf install libzstd-devel lz4-devel xxhash-devel pkgconf; macOS: brew install zstd lz4 xxhash pkg-config"
)


def pkg_config(option: str, name: str) -> list[str]:
    tool = os.environ.get("PKG_CONFIG", "pkg-config")
    try:
        done = subprocess.run([tool, option, name], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        sys.exit("atlas-ds: " + HOW.format(missing="pkg-config"))
    if done.returncode != 0:
        sys.exit("atlas-ds: " + HOW.format(missing=LIBRARIES[name][1]))
    return shlex.split(done.stdout)


def extensions() -> list[Extension]:
    import numpy

    cflags = [flag for name in LIBRARIES for flag in pkg_config("--cflags", name)]
    libs = [flag for name, (lib, _) in LIBRARIES.items() if lib for flag in pkg_config("--libs", name)]
    sanitize = os.environ.get("ATLAS_SANITIZE", "")
    extra = [f"-fsanitize={sanitize}", "-g", "-fno-omit-frame-pointer"] if sanitize else []
    # no symbol table and no debug information: a sixth of the size, and nothing that a user needs
    strip = ["-Wl,-s"] if sys.platform == "linux" and not sanitize else []
    # csrc is held to -Wall -Wextra -Wconversion by `make lint`; generated code is not
    quiet = ["-Wno-stringop-overflow", "-Wno-sign-compare", "-Wno-maybe-uninitialized"]
    core = Extension(
        "atlas_ds._core",
        sources=["src/atlas_ds/_core.pyx", *sorted(glob("csrc/*.c"))],
        depends=["setup.py", *glob("csrc/*.h"), "src/atlas_ds/catlas.pxd", "src/atlas_ds/helper.h"],
        include_dirs=["csrc", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", *quiet, *cflags, *extra],
        extra_link_args=[*libs, *extra, *strip],
    )
    tar = Extension(
        "atlas_ds._tar",
        sources=["src/atlas_ds/_tar.pyx"],
        depends=["setup.py"],
        include_dirs=[numpy.get_include()],
        define_macros=[("XXH_INLINE_ALL", None)],
        extra_compile_args=["-std=gnu11", "-O3", "-fvisibility=hidden", *quiet, *pkg_config("--cflags", "libxxhash"), *extra],
        extra_link_args=[*extra, *strip],
    )
    return [core, tar]


if __name__ == "__main__":
    from Cython.Build import cythonize

    setup(ext_modules=cythonize(extensions(), language_level=3))
