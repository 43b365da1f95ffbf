"""Text that must not reach the Hub: what looks like a token, an e-mail address or a phone number."""

import re
from collections.abc import Collection, Iterator
from types import MappingProxyType


_TOKEN = r"""(?x)
    \b(?: hf_[A-Za-z0-9]{20,} | api_org_[A-Za-z0-9]{20,}             # Hugging Face
        | gh[pousr]_[A-Za-z0-9]{30,} | github_pat_\w{20,} | glpat-[\w-]{20,}
        | sk-[\w-]{20,} | AKIA[0-9A-Z]{16} | AIza[\w-]{35} | xox[abprs]-[\w-]{10,}
        | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,} )                  # JSON Web Token
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----
    | ://[^\s/:@]+:[^\s/:@]+@                                        # a password in an address
"""
_PHONE = r"""(?x)
      (?<![\w.,]) \+ \d{1,3} [ ./()-]{0,2} \d [\d ./()-]{5,16} \d (?!\w)   # international
    | (?<![\w.,-]) \(?\d{3}\)? [ .-] \d{3} [ .-] \d{4} (?![\w-])          # 555-123-4567
    | (?<![\w.,-]) 0\d{2,4} [ /-] \d{3,4} [ -]? \d{3,5} (?![\w-])         # 0151 23456789
"""
_KINDS = MappingProxyType(
    {
        "a token or password": re.compile(_TOKEN),
        "an e-mail address": re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b"),
        "a phone number": re.compile(_PHONE),
    }
)


def find_private_text(text: str, allowed: Collection[str] = ()) -> Iterator[tuple[int, str, str]]:
    """Yield line (1-based), what it looks like, and the text, of which a token is told by its first letters alone."""
    for number, line in enumerate(text.splitlines(), start=1):
        for kind, pattern in _KINDS.items():
            for match in pattern.finditer(line):
                found = match[0].strip()
                if found not in allowed and not (kind == "a phone number" and _is_plain_number(found)):
                    yield number, kind, f"{found[:6]}…" if "token" in kind else found


def _is_plain_number(text: str) -> bool:
    """Return whether the text is a number with a fraction, such as an interval of a score has."""
    return re.fullmatch(r"\+?\d+\.\d+", text) is not None
