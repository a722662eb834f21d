"""What obstore says of a request that failed, told apart by its words, and what to do. It makes no requests."""

from __future__ import annotations

import re
import urllib.parse

# Words of obstore's texts, for causes that have no class of their own, and what to do.
ALLOW_HTTP = 'pass storage_options={"allow_http": True} (convert: --allow-http) if you trust the network'
CURES = tuple(
    (re.compile(words, re.I | re.S), cure)
    for words, cure in {
        "RequestTimeTooSkewed|skew": "the clock of this machine is wrong: set it",
        "ExpiredToken|token.{0,40}expired": "the session token has expired: get a new one",
        "Request has expired|AuthenticationFailed.{0,200}expired": "the presigned URL has expired: get a new one",
        "InvalidAccessKeyId|SignatureDoesNotMatch": "the key or the secret is wrong",
        "NoSuchBucket|bucket.{0,30}(not found|not exist)": "the bucket does not exist: check its name, and the region",
        "builder error|URL scheme is not allowed|error following redirect": f"its endpoint or a redirect is http without TLS: {ALLOW_HTTP}",
        "credential|Missing.{0,20}(key|token)": "no credentials were found: set them in the environment or in "
        "storage_options; for public data, pass storage_options={'anon': True}",
        "Range request not supported": "the server does not answer ranges: use one that does (nginx, Apache, a CDN), or download the file",
        "PermanentRedirect|status code: 301": "it is in another region: pass storage_options={'region': ...}",
        "AccessDenied|AuthorizationFailure|AuthorizationPermissionMismatch|status code: 403": "you may not read it: ask its owner for access, or use "
        "other credentials",
    }.items()
)
SECRET = 6  # characters of a value that may be one
BUSY = frozenset({429, 503})
FINAL = frozenset({301, 307, 400, 401, 403, 404, 405, 410, 411, 412, 501})  # statuses for which another try is no better
FINAL_KINDS = ("PermissionDeniedError", "UnauthenticatedError", "NotSupportedError", "InvalidPathError")
FINAL_WORDS = re.compile("builder error|URL scheme is not allowed|following redirect|NoSuchBucket")


def said_in(error: BaseException) -> str:
    """What obstore says of an error after the request, whose URL may have any words in it."""
    text = str(error).partition("Debug source")[0]
    return text.partition(" - ")[2] or text


def status_of(error: BaseException) -> int | None:
    """The status of the answer, if there was one."""
    found = re.search(r"status code: (\d{3})", said_in(error))
    return None if found is None else int(found[1])


def cause_of(error: BaseException, query: str = "") -> str:
    """What went wrong, in one line: of an answer, its status, code and message; without credentials, the query of a URL and what the server repeats of
    it, and values of options."""
    text = " ".join(str(error).partition("Debug source")[0].split()) or type(error).__name__
    told = re.findall(r"<(?:Code|Message)>([^<]*)<", text)
    text = re.split(r": ?<", text)[0] + (f": {': '.join(told)}" if told else "")
    text = re.sub(r"^.*?Error performing (\w+) (\S+) in \S+ - (Server returned non-2xx status code: )?", r"\1 \2: ", text)
    text = re.sub(r'failed to parse ".*" as', "the value of an option is not a", text)
    text = re.sub(r"(https?://)(?:[^\s/?\"]*@)?([^\s?\"]+)(?:\?[^\s\"]*)?", r"\1\2", text)
    return without_values(text, query)[:300]


def without_values(text: str, query: str) -> str:
    """A text without the values of a query, however the server that repeats them has decoded them."""
    raw = [part.partition("=")[2] or part for part in query.split("&")]
    for value in sorted({form for one in raw for form in (one, urllib.parse.unquote(one), urllib.parse.unquote_plus(one))}, key=len, reverse=True):
        if len(value) >= SECRET:
            text = text.replace(value, "...")
    return text
