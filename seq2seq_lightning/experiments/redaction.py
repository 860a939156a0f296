"""What must never reach a file that people share: keys, and on publication paths and machine names."""

from __future__ import annotations

import re
from typing import Any

REMOVED = "<removed>"

_KEY_NAME = re.compile(
    r"(^|[_.\-/+~])(api[_-]?key|secret|passwd|password|credentials?|private[_-]?key|authorization"
    r"|(access|auth|api|hf|hub|bearer)[_-]?token)(s?$|[_.\-])",
    re.IGNORECASE,
)
_KEY_VALUE = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-f]{40}|wandb_v\d_\w{20,}|hf_[A-Za-z0-9]{20,}|sk-[\w-]{20,}|gh[pousr]_\w{20,}"
    r"|github_pat_\w{20,}|AKIA[0-9A-Z]{16}|xox[abps]-[\w-]{10,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)(?![0-9A-Za-z])"
)
_ASSIGNED = re.compile(r"(?i)\b([\w.]*(?:api_?key|secret|password|passwd|access_token|auth_token))(\s*[=:]\s*)(\S+)")
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
_PATH = re.compile(r"(?<![\w./:])(?:~|\.\.)?(?:/[\w.@+\-]+){2,}")


def without_secrets(plain: Any) -> Any:
    """A copy of plain values in which whatever looks like a key is gone: entries by their name, texts by their form."""
    if isinstance(plain, dict):
        return {name: without_secrets(value) for name, value in plain.items() if not _KEY_NAME.search(str(name))}
    if isinstance(plain, list):
        return [without_secrets(value) for value in plain if not _is_secret_override(value)]
    return _clean(plain) if isinstance(plain, str) else plain


def without_places(plain: Any, host: str | None = None) -> Any:
    """A copy of plain values in which absolute paths are cut to their last part and the machine's name is ``host``."""
    if isinstance(plain, dict):
        return {name: without_places(value, host) for name, value in plain.items()}
    if isinstance(plain, list):
        return [without_places(value, host) for value in plain]
    if not isinstance(plain, str):
        return plain
    text = _PATH.sub(lambda match: match.group().rsplit("/", 1)[1], plain)
    return re.sub(rf"\b{re.escape(host)}\b", "host", text) if host else text


def _is_secret_override(value: Any) -> bool:
    return isinstance(value, str) and "=" in value and bool(_KEY_NAME.search(value.split("=", 1)[0]))


def _clean(text: str) -> str:
    text = _KEY_VALUE.sub(REMOVED, text)
    text = _ASSIGNED.sub(lambda match: f"{match.group(1)}{match.group(2)}{REMOVED}", text)
    return _LOGIN.sub(f"{REMOVED}@", text)
