"""Builds the C core and its binding. Only what pyproject.toml cannot say stands here."""

import os
import shlex
import subprocess
import sys
from glob import glob
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

LIBRARIES = {"libzstd": ("zstd", "zstd.h"), "liblz4": ("lz4", "lz4.h"), "libxxhash": (None, "xxhash.h")}
CODECS = ("base", "read", "write")  # the extensions that link zstd and lz4
# csrc is held to -Wall -Wextra -Wconversion by `make lint`; generated code is not
QUIET = ["-Wno-stringop-overflow", "-Wno-sign-compare", "-Wno-maybe-uninitialized"]
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


def cflags() -> list[str]:
    return [flag for name in LIBRARIES for flag in pkg_config("--cflags", name)]


def sanitizer() -> list[str]:
    chosen = os.environ.get("ATLAS_SANITIZE", "")
    return [f"-fsanitize={chosen}", "-g", "-fno-omit-frame-pointer"] if chosen else []


def core_library() -> tuple[str, dict[str, Any]]:
    """csrc, compiled once: a static library that the extensions of _core link."""
    sources = sorted(glob("csrc/*.c"))
    flags = ["-std=c11", "-O3", "-fvisibility=hidden", *QUIET, *cflags(), *sanitizer()]
    return "atlas", {"sources": sources, "include_dirs": ["csrc"], "cflags": flags, "obj_deps": {"": ["setup.py", *glob("csrc/*.h")]}}


def extensions() -> list[Extension]:
    import numpy

    libs = [flag for name, (lib, _) in LIBRARIES.items() if lib for flag in pkg_config("--libs", name)]
    # no symbol table and no debug information: a sixth of the size, and nothing that a user needs
    strip = ["-Wl,-s"] if sys.platform == "linux" and not sanitizer() else []
    core = [
        Extension(
            f"atlas_ds._core.{name}",
            sources=[f"src/atlas_ds/_core/{name}.pyx"],
            depends=["setup.py", *glob("csrc/*.[ch]"), *glob("src/atlas_ds/_core/*.h")],
            include_dirs=["csrc", "src/atlas_ds/_core", numpy.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
            extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", *QUIET, *sanitizer()],
            extra_link_args=[*(libs if name in CODECS else []), *sanitizer(), *strip],
        )
        for name in ("base", "nodes", "order", "read", "write")
    ]
    tar = Extension(
        "atlas_ds._tar",
        sources=["src/atlas_ds/_tar.pyx"],
        depends=["setup.py"],
        include_dirs=[numpy.get_include()],
        define_macros=[("XXH_INLINE_ALL", None)],
        extra_compile_args=["-std=gnu11", "-O3", "-fvisibility=hidden", *QUIET, *pkg_config("--cflags", "libxxhash"), *sanitizer()],
        extra_link_args=[*sanitizer(), *strip],
    )
    return [*core, tar]


class BuildExtensions(build_ext):
    """Builds the library first, also where build_ext is all that was asked for."""

    def run(self) -> None:
        library = self.get_finalized_command("build_clib")
        library.force = library.force or self.force
        self.run_command("build_clib")
        super().run()


if __name__ == "__main__":
    from Cython.Build import cythonize

    setup(
        libraries=[core_library()],
        ext_modules=cythonize(extensions(), language_level=3),
        cmdclass={"build_ext": BuildExtensions},
    )
