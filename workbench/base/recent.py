"""What this session made last, found again by a key: datasets hold numbers, not what they were made of."""


class Recent[T]:
    """The newest `size` values by their keys; the oldest makes room."""

    def __init__(self, size: int):
        self._size, self._kept = size, dict[str, T]()

    def keep(self, key: str, value: T) -> str:
        """Keep a value as the newest, and return its key."""
        self._kept.pop(key, None)
        self._kept[key] = value
        if len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]
        return key

    def get(self, key: str) -> T | None:
        """Return the value of a key, None where it is unknown or long ago."""
        return self._kept.get(key)
