"""`python -m vae_cli COMMAND ...`: the console commands where their scripts are not on the PATH."""

import sys
from difflib import get_close_matches

from vae_cli import cli
from vae_cli.errors import REFUSED

COMMANDS = {
    "train": cli.train,
    "eval": cli.evaluate,
    "sample": cli.sample,
    "encode": cli.encode,
    "score": cli.score,
    "reconstruct": cli.reconstruct,
    "export": cli.export,
    "push": cli.push,
    "explore": cli.explore,
    "report": cli.report,
    "status": cli.status,
    "kl": cli.kl,
    "cavi": cli.cavi,
}


def listing() -> str:
    """The commands, each with the first sentence of its description."""
    lines = ["usage: python -m vae_cli COMMAND ...", "", "commands, each with its own --help:"]
    for name, command in COMMANDS.items():
        script, _, purpose = (command.__doc__ or "").partition(": ")
        lines.append(f"  {name:<11} {script:<15} {purpose}")
    return "\n".join(lines)


def main() -> None:
    """Run the command that the first argument names; without one list all."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h"):
        print(listing())
        return
    if name not in COMMANDS:
        near = get_close_matches(name.removeprefix("vae-"), COMMANDS, 1, 0.0)[0]
        commands = ", ".join(COMMANDS)
        print(f"vae_cli: error: {name}: unknown command; nearest: {near}; the commands are {commands}", file=sys.stderr)
        sys.exit(REFUSED)
    if not sys.flags.safe_path:
        sys.path.append(sys.path.pop(0))  # the working directory: a random.py that lies there is not Python's own
    sys.argv = [f"vae-{name}", *sys.argv[2:]]
    COMMANDS[name]()


if __name__ == "__main__":
    main()
