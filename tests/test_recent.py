"""The newest things of a session, by their keys."""

from workbench.base.recent import Recent


def test_the_oldest_makes_room_and_what_is_kept_again_is_new() -> None:
    kept = Recent[int](2)
    assert kept.keep("a", 1) == "a"
    kept.keep("b", 2)
    kept.keep("a", 3)
    kept.keep("c", 4)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (3, None, 4)
