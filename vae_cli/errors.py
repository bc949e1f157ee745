"""UserError, warnings, and the meaning of other errors."""

import logging
import sys
from errno import EDQUOT, ENOSPC

FAILED, REFUSED, DIFFERENT = 1, 2, 3
"""Exit codes of a command that failed, of one that was refused before it read or wrote anything, and of a reproduction
whose numbers differ from those of its run."""


class UserError(Exception):
    """An error that the user can correct: one line on stderr, without a traceback.

    `exit_code` is FAILED or REFUSED.
    """

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConfigError(UserError):
    """A configuration that cannot run: the message names the key, the place where it is set and the remedy.

    rule: the id of the rule that refuses it, if it was one.
    key: the dotted key at fault, if it is one; of the rule `capabilities` two groups, as in objective.posterior.
    """

    def __init__(self, message: str, *, rule: str | None = None, key: str | None = None) -> None:
        super().__init__(message, exit_code=REFUSED)
        self.rule, self.key = rule, key


def first_line(error: BaseException | str) -> str:
    """The first line of an error's message, or the name of its class where the message is empty.

    >>> first_line(ValueError(" no array\\n at all")), first_line(KeyError())
    ('no array', 'KeyError')
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, in the plural unless it is 1.

    >>> counted(1, "job"), counted(2000, "job"), counted(0, "process", "processes")
    ('1 job', '2,000 jobs', '0 processes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def loaded_class(module: str, name: str) -> type | tuple[()]:
    """A class of a library; (), of which nothing is an instance, before its import, which takes seconds for torch."""
    return getattr(sys.modules.get(module), name, ())


def out_of_memory(error: BaseException) -> bool:
    """True if a GPU or the machine is out of memory; torch has no exception class for the latter."""
    if isinstance(error, (MemoryError, loaded_class("torch", "OutOfMemoryError"))):
        return True
    signs = ("can't allocate memory", "not enough memory", "std::bad_alloc")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def causes(error: BaseException) -> list[BaseException]:
    """An error and the chain of its causes, the root cause last."""
    chain = [error]
    while link := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(link)
    return chain


def disk_full(error: BaseException) -> OSError | None:
    """The error of a disk or a quota that is full, if there is one behind this error."""
    full = (link for link in causes(error) if isinstance(link, OSError) and link.errno in (ENOSPC, EDQUOT))
    return next(full, None)


def warn(message: str) -> None:
    """One line on stderr, and in the run's log, about a fault that does not stop the command."""
    print(f"warning: {message}", file=sys.stderr, flush=True)
    logger = logging.getLogger("vae_cli")
    if logger.hasHandlers():  # else logging itself would write the line to stderr
        logger.warning(message)
