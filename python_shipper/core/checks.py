"""Check digits, the difference between a card number and an order number of the same length."""

from __future__ import annotations

from collections.abc import Callable

_RRN_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)


def luhn(text: str) -> bool:
    """Whether the digits of ``text`` pass the Luhn check (ISO/IEC 7812), as every payment card's do."""
    digits = [ord(c) - 48 for c in text if "0" <= c <= "9"]
    doubled = sum(d * 2 - 9 if d > 4 else d * 2 for d in digits[-2::-2])
    return len(digits) > 1 and (doubled + sum(digits[-1::-2])) % 10 == 0


def rrn(text: str) -> bool:
    """Whether the 13 digits of ``text`` pass the check of Korean resident registration numbers.

    Weights 2…9, 2…5 and the complement to 11 for citizens (seventh digit 1–4), to 13 for foreigners (5–8). Numbers
    given out since October 2020 carry no check digit and pass by chance alone: those need the key name.
    """
    digits = [ord(c) - 48 for c in text if "0" <= c <= "9"]
    if len(digits) != 13:
        return False
    total = sum(d * w for d, w in zip(digits, _RRN_WEIGHTS, strict=False))
    return ((11 if digits[6] < 5 else 13) - total % 11) % 10 == digits[12]


def iban(text: str) -> bool:
    """Whether ``text`` passes the check of ISO 13616: rearranged and read as a number it leaves 1 by 97."""
    compact = text.replace(" ", "")
    if len(compact) < 15 or not compact.isalnum() or not compact.isascii():
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


CHECKS: dict[str, Callable[[str], bool]] = {"luhn": luhn, "rrn": rrn, "iban": iban}
