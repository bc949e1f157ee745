"""The one exception that users are meant to see."""


class UserError(Exception):
    """Something the user can mend: shown as one line on stderr, without a traceback.

    `exit_code` is 2 for a configuration refused before anything was read or written, 1 for a failure of a run.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConfigError(UserError):
    """A configuration that cannot run: the message names the key, where it stands and the way out."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)
