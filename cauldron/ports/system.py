"""Time, identity and measuring, as arguments of everything that needs them."""

from collections.abc import Callable

Clock = Callable[[], int]  # milliseconds since 1970 UTC
NewId = Callable[[], str]  # 128 random bits as text, never repeated
Uniform = Callable[[], float]  # 0 <= x < 1, for jitter
