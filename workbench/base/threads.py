"""One thread for BLAS where matrices are small and calls are many."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread of this process, as a context or a decorator.

    The threads of OpenBLAS wait for each other in a loop. On a machine with other work, each of the thousand small
    calls of a climb by L-BFGS so takes milliseconds in place of microseconds, and chains already fill the cores.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield
